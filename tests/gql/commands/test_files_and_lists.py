"""`ls`, `runs`, `rerun`, `export` and `import` on a whole server."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from rich.console import Console

from gql.client.faults import ClientFault, RequestRefused
from gql.client.session import ApiClient
from gql.commands.files import export_all, export_one, import_all
from gql.commands.lists import Wanted, show_runs, show_workflows
from gql.commands.reruns import Again, rerun_run
from gql.commands.target import Target
from gql.commands.workflow_runs import Given, run_workflow
from tests.support.cli import anabranch, api, signed_in
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.cli import Command
    from tests.support.fake_api import FakeApi

__all__ = ["anabranch", "api", "signed_in"]
HELLO = """\
name: Hello
slug: hello
nodes:
  first:
    transform:
      fields:
        - name: number
          value: "{{ input.number }}"
  second:
    transform:
      fields:
        - name: half
          value: "{{ nodes.first.output.number / input.by }}"
edges:
  - first -> second
"""


@dataclass
class Place:
    """A server, a folder, and what commands printed on their consoles."""

    target: Target
    folder: Path
    console: Console

    def file(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_text(text)
        return path

    def told(self) -> str:
        """Return what was printed since the last time."""
        stream = self.console.file
        assert isinstance(stream, io.StringIO)
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text


@pytest.fixture
async def place(database_url: str, data_dir: Path, tmp_path: Path) -> AsyncGenerator[Place]:
    settings = await asyncio.to_thread(settings_on, database_url, data_dir)
    async with serving_anabranch(settings) as url, aiohttp.ClientSession() as http:
        tokens = await ApiClient(http, url).sign_up("ada@example.com", "a river that rejoins")
        target = Target(url, tokens.access_token, data_dir)
        yield Place(target, tmp_path, Console(file=io.StringIO(), width=200))


async def test_what_is_exported_is_imported_to_the_same(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    file = place.file("hello.yaml", HELLO)
    assert await import_all(place.target, [file], place.console, is_upsert=False) == 0
    assert capsys.readouterr().out == f"{file}: hello, revision 1 (created)\n"
    await export_one(place.target, "hello", None, place.console)
    assert capsys.readouterr().out == HELLO.replace('"{{ input.number }}"', '"{{ input.number }}"')
    await export_all(place.target, place.folder / "out", place.console)
    assert (place.folder / "out/hello.yaml").read_text() == HELLO
    assert await import_all(place.target, [place.folder / "out/hello.yaml"], place.console, is_upsert=True) == 0
    assert capsys.readouterr().out.endswith("hello, revision 1 (up to date)\n")
    with pytest.raises(RequestRefused, match="no workflow 'gone'"):
        await export_one(place.target, "gone", place.folder / "gone.yaml", place.console)
    assert not (place.folder / "gone.yaml").exists()


async def test_problems_of_files_are_told_by_their_places_and_sound_files_are_imported_all_the_same(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = place.file("taken.yaml", HELLO)
    assert await import_all(place.target, [taken], place.console, is_upsert=False) == 0
    broken = place.file("broken.yaml", HELLO.replace("transform:", "transfrom:", 1))
    odd = place.file("odd.yaml", HELLO.replace("slug: hello\n", "").replace("nodes.first.output", "nodes.frist.output"))
    schema = place.file("schema.yaml", "name: x\ninputSchema:\n  type: strange\n")
    capsys.readouterr()
    files = [taken, broken, odd, schema, place.folder / "gone.yaml"]
    assert await import_all(place.target, files, place.console, is_upsert=False) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"{odd}: odd, revision 1 (created)",
        f"{odd}:12:11: error: There is no node `frist`. Did you mean `first`?",
    ]
    assert told.err.splitlines() == [
        f"{taken}: There is a workflow with the slug hello.",
        f"{broken}:5:5: There is no node kind `transfrom`. Did you mean `transform`?",
        f"{schema}:3:3: " + told.err.splitlines()[2].partition(":3:3: ")[2],
        f"{place.folder / 'gone.yaml'} cannot be read: No such file or directory.",
    ]


async def test_runs_are_listed_and_run_again_from_where_they_failed(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place.file("hello.yaml", HELLO)
    wrong = Given(("number=12", "by=0"))
    assert await run_workflow(place.target, str(file), wrong, place.console, is_watched=True) == 1
    await show_runs(place.target, Wanted("hello", ("failed",), 5), place.console, is_json=True)
    [failed] = orjson.loads(capsys.readouterr().out)
    assert (failed["workflow"], failed["status"], failed["error"]["nodeKey"]) == ("hello", "FAILED", "second")
    place.told()

    assert (
        await rerun_run(place.target, Again(failed["id"], ("failed",), is_dry=True), place.console, is_watched=False)
        == 0
    )
    assert place.told() == "Reused: first\nRun again: second\n"
    mended = place.file("hello.yaml", HELLO.replace("/ input.by", "/ 4"))
    assert await import_all(place.target, [mended], place.console, is_upsert=True) == 0
    again = Again(failed["id"], ("second",), is_draft=True)
    assert await rerun_run(place.target, again, place.console, is_watched=True) == 0
    assert '"half": 3' in place.told()

    capsys.readouterr()
    await show_runs(place.target, Wanted(), place.console, is_json=False)
    lines = place.told().splitlines()
    assert lines[0].split() == ["run", "workflow", "status", "nodes", "started", "took", "error"]
    assert "SUCCEEDED" in lines[1]
    assert lines[2].split()[:3] == [failed["id"], "hello", "FAILED"]
    assert lines[2].split()[-2:] == ["second:", "TEMPLATE_ERROR"]
    await show_workflows(place.target, place.console, is_json=False)
    row = place.told().splitlines()[1].split()
    assert row[:6] == ["hello", "Hello", "2", "never", "none", "SUCCEEDED"]
    await show_workflows(place.target, place.console, is_json=True)
    [workflow] = orjson.loads(capsys.readouterr().out)
    assert (workflow["slug"], workflow["errors"], workflow["latestRun"]["status"]) == ("hello", 0, "SUCCEEDED")
    assert (workflow["publishedVersion"], workflow["hasUnpublishedChanges"]) == (None, True)
    with pytest.raises(RequestRefused, match="no workflow 'gone'"):
        await show_runs(place.target, Wanted("gone"), place.console, is_json=False)


@pytest.mark.parametrize(
    ("again", "message"),
    [
        (Again("run_1", ("failed", "a")), "stands alone"),
        (Again("run_1", ("a",), is_draft=True, is_published=True), "not both"),
    ],
)
def test_options_that_exclude_each_other_are_refused(again: Again, message: str) -> None:
    with pytest.raises(ClientFault, match=message):
        again.fields()


def test_the_options_of_rerun_are_sent_as_the_api_takes_them(signed_in: Command, api: FakeApi) -> None:
    run: dict[str, Any] = {"run": {"id": "run_2", "status": "QUEUED"}, "userErrors": []}
    api.answers["Rerun"] = {"rerunRun": run | {"reusedNodeKeys": ["a"], "executedNodeKeys": ["b", "c"]}}
    status, out, err = signed_in("rerun", "run_1", "--from", "b", "--from", "c", "--published")
    assert (status, err) == (0, "")
    assert out == "Reused: a\nRun again: b, c\nStarted run_2; anabranch watch run_2\n"
    assert signed_in("rerun", "run_1", "--dry-run")[0] == 0
    assert [variables["input"] for name, variables in api.requests if name == "Rerun"] == [
        {"runId": "run_1", "from": "NODES", "nodeKeys": ["b", "c"], "graph": "PUBLISHED", "isDryRun": False},
        {"runId": "run_1", "from": "FAILED", "graph": "SAME", "isDryRun": True},
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["runs", "--status", "lost"], 1, "'lost' is no status of a run; there are queued, "),
        (["runs", "--limit", "0"], 2, "--limit"),
        (["export"], 2, "Give a SLUG, or --all DIR"),
        (["export", "hello", "--all", "out"], 2, "Give a SLUG, or --all DIR"),
        (["import"], 2, "FILE"),
    ],
)
def test_wrong_usage_is_told_in_one_sentence(signed_in: Command, arguments: list[str], status: int, words: str) -> None:
    ended, out, err = signed_in(*arguments)
    assert (ended, out) == (status, "")
    assert words in err
    assert err.count("\n") == 1
