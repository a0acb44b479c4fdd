from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.cli import anabranch, api, signed_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Command
    from tests.support.fake_api import FakeApi

__all__ = ["anabranch", "api", "signed_in"]
TOO_LONG = {"errors": [{"message": "The operation took too long.", "extensions": {"code": "TIMEOUT"}}]}


def taking(api: FakeApi, most: int) -> list[list[str]]:
    """Let the server embed so many documents in a request and no more; gives the texts of those it took."""
    taken: list[list[str]] = []

    def upsert(variables: dict[str, Any]) -> object:
        texts = [document["text"] for document in variables["documents"]]
        if len(texts) > most:
            return web.json_response(TOO_LONG)
        taken.append(texts)
        count = sum(len(texts) for texts in taken)
        stats = {"documents": count, "chunks": count}
        return {"upsertDocuments": {"collection": {"id": "col_1", "stats": stats}, "userErrors": []}}

    found = {"viewer": {"workspaces": {"nodes": [{"collection": {"id": "col_1"}}]}}}
    api.answers |= {"FindCollection": found, "UpsertDocuments": upsert}
    return taken


def test_what_takes_too_long_for_one_request_is_sent_in_halves(
    signed_in: Command, api: FakeApi, tmp_path: Path
) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.txt").write_text(name)
    taken = taking(api, 2)
    assert signed_in("collection", "ingest", "library", str(tmp_path)) == (
        0,
        "5 documents written; library has 5 with 5 chunks.\n",
        "",
    )
    assert taken == [["a", "b"], ["c"], ["d", "e"]]


def test_a_single_document_that_takes_too_long_is_told(signed_in: Command, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    taking(api, 0)
    assert signed_in("collection", "ingest", "library", str(tmp_path))[::2] == (1, "The operation took too long.\n")


def test_one_document_is_not_told_as_several(signed_in: Command, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    taking(api, 1)
    told = signed_in("collection", "ingest", "library", str(tmp_path / "a.txt"))[1]
    assert told == "1 document written; library has 1 with 1 chunk.\n"
