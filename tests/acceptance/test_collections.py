"""Collections as people use them: files ingested by the command line, examples run, large bodies sent."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from rich.console import Console

from gql.client.faults import ClientFault, RequestRefused
from gql.client.logins import Logins
from gql.client.session import ApiClient
from gql.commands.ingestion import batches, ingest, read_documents
from gql.commands.target import Target
from gql.commands.workflow_runs import Given, run_workflow
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

EXAMPLES = Path(__file__).parents[2] / "examples"
ANIMALS = ("A kitten sleeps in the sun.", "Dogs bark at strangers.", "Owls hunt at night.")
FOOD = ("Bread is baked from flour, water and yeast.", "Soup is cooked slowly.")
DOCUMENTS: list[dict[str, Any]] = [
    {"externalId": f"{topic}-{place}", "text": text, "metadata": {"topic": topic}}
    for topic, texts in (("animals", ANIMALS), ("food", FOOD))
    for place, text in enumerate(texts)
]
UPSERT = """mutation ($id: ID!, $documents: [DocumentInput!]!) {
  upsertDocuments(input: { collectionId: $id, documents: $documents }) { documents { id } userErrors { code } } }"""
FIND = """{ viewer { workspaces { nodes { collection(name: "library") { id stats { documents chunks }
  documents(first: 100) { nodes { externalId metadata } } } } } } }"""


class Place:
    """A server, and somebody who is signed in at it."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url = url
        self.token = token
        self.target = Target(url, token, folder, Logins(folder / "logins.json"))
        self.said = io.StringIO()
        self.console = Console(file=self.said, width=200)

    async def run(self, example: str, **values: Any) -> dict[str, Any]:
        self.said.seek(0)
        self.said.truncate()
        given = Given((), json.dumps(values))
        status = await run_workflow(self.target, str(EXAMPLES / example), given, self.console, is_watched=True)
        told = "\n" + self.said.getvalue()
        assert status == 0, told
        assert "\n{\n" in told, told
        return json.loads(told[told.rindex("\n{\n") :])

    async def library(self) -> Any:
        async with aiohttp.ClientSession() as http:
            status, body = await self.post(http, {"query": FIND}, self.token)
        assert status == 200
        return body["data"]["viewer"]["workspaces"]["nodes"][0]["collection"]

    async def post(self, http: aiohttp.ClientSession, body: Any, token: str | None) -> tuple[int, Any]:
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        data = io.BytesIO(json.dumps(body).encode())
        async with http.post(f"{self.url}/graphql", data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def place(database_url: str, data_dir: Path) -> AsyncGenerator[Place]:
    async with serving_anabranch(settings_on(database_url, data_dir)) as url:
        async with aiohttp.ClientSession() as http:
            tokens = await ApiClient(http, url).sign_up("ada@example.com", "a river that rejoins")
        yield Place(url, tokens.access_token, data_dir)


async def test_files_are_ingested_learnt_and_found(place: Place, tmp_path: Path) -> None:
    lines = tmp_path / "facts.jsonl"
    lines.write_text("\n".join(json.dumps(document) for document in DOCUMENTS[:2]) + "\n\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "rivers.md").write_text("# Rivers\n\nRivers run to the sea.\n")
    (tmp_path / "notes" / "picture.png").write_bytes(b"\x89PNG")
    await ingest(place.target, "library", [lines, tmp_path / "notes"], place.console)
    assert "3 documents written; library has 3 with 3 chunks." in place.said.getvalue()

    learnt = await place.run("learn.yaml", documents=DOCUMENTS)
    assert learnt == {"documents": 5, "chunks": 5}
    assert await place.run("learn.yaml", documents=DOCUMENTS) == learnt
    library = await place.library()
    assert library["stats"] == {"documents": 6, "chunks": 6}
    rivers = (tmp_path / "notes" / "rivers.md").as_posix()
    assert {"externalId": rivers, "metadata": {"path": rivers}} in library["documents"]["nodes"]

    found = await place.run("search.yaml", question="Where does the small cat lie?", topic="food")
    assert found["best"] == ANIMALS[0]
    assert sorted(found["ofTopic"]) == sorted(FOOD)


async def test_a_workflow_that_names_a_collection_that_is_not_there_is_told_so(place: Place) -> None:
    with pytest.raises(RequestRefused) as caught:
        await place.run("search.yaml", question="x", topic="y")
    assert "There is no collection `library`." in caught.value.message


async def test_documents_may_have_more_than_a_mebibyte_and_nothing_else_may(place: Place) -> None:
    await ingest(place.target, "library", [_file(place)], place.console)
    collection = (await place.library())["id"]
    text = "word " * 200_000
    documents = [{"externalId": str(number), "text": f"{number} {text}"} for number in range(2)]
    async with aiohttp.ClientSession() as http:
        # They are refused for what they are, once they were read: embedding them would take minutes.
        empty = [{**document, "text": " " * 1_000_000} for document in documents]
        upsert = {"query": UPSERT, "variables": {"id": collection, "documents": empty}}
        status, body = await place.post(http, upsert, place.token)
        assert (status, body["data"]["upsertDocuments"]["userErrors"]) == (200, [{"code": "INVALID_INPUT"}])
        status, _ = await place.post(http, upsert, None)
        assert status == 413
        status, _ = await place.post(http, upsert, "no.such.token")
        assert status == 413
        huge = {"query": UPSERT, "variables": {"id": collection, "documents": documents * 3}}
        assert (await place.post(http, huge, place.token))[0] == 413
        other = {"query": FIND, "variables": {"x": " " * 1_100_000}}
        assert (await place.post(http, other, place.token))[0] == 413


def _file(place: Place) -> Path:
    path = place.target.data_dir / "one.txt"
    path.write_text("One text.")
    return path


def test_files_that_cannot_be_read_are_told_by_name_and_line(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    lines = tmp_path / "lines.jsonl"
    for path, text, told in (
        (latin, None, "latin.txt: is not UTF-8."),
        (tmp_path / "gone.txt", None, "gone.txt: No such file or directory."),
        (lines, '{"text": "a"}\n{"txt": "b"}\n', "lines.jsonl, line 2: a document is an object with a `text`."),
        (lines, "\n{", "lines.jsonl, line 2: not JSON"),
    ):
        if text is not None:
            path.write_text(text)
        with pytest.raises(ClientFault) as caught:
            list(read_documents([path]))
        assert told in caught.value.message


def test_documents_go_out_in_portions_that_a_request_can_take() -> None:
    small = [{"text": "x"} for _ in range(120)]
    assert [len(batch) for batch in batches(small)] == [50, 50, 20]
    large = [{"text": "x" * 15_000}, {"text": "y" * 15_000}, {"text": "z"}]
    assert [len(batch) for batch in batches(large)] == [1, 2]
    assert [len(batch) for batch in batches([{"text": "x" * 50_000}] * 2)] == [1, 1]
