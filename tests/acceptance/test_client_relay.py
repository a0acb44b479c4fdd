"""The example of a client with Relay, installed and built as its page says, against a live server over a line that breaks."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.client_examples import event_lines, line_of, run_program, serving_example
from tests.support.node import find_node
from tests.support.server_process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.client_examples import Finished
    from tests.support.node import Node

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("examples", "clients", "relay")

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Built:
    """The example, built in a folder of its own."""

    folder: Path
    node: Node

    async def npm(self, *arguments: str) -> Finished:
        return await run_program((*self.node.npm, *arguments), self.folder, self.node.environment)

    async def start(
        self, environment: dict[str, str], hear: Callable[[str], None] = lambda _: None, topic: str = "a river"
    ) -> Finished:
        command = (str(self.node.program), "dist/main.js", topic)
        return await run_program(command, self.folder, environment, hear)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Copy what is in the repository, and do what the page says."""
    root = tmp_path_factory.mktemp("relay")
    shutil.copy(ROOT / "schema.graphql", root)
    ignored = shutil.ignore_patterns("node_modules", "dist", "__generated__")
    shutil.copytree(ROOT / EXAMPLE, root / EXAMPLE, ignore=ignored)
    made = Built(root / EXAMPLE, find_node())

    async def build() -> None:
        for command in (("ci", "--ignore-scripts"), ("run", "build")):
            done = await made.npm(*command)
            assert done.status == 0, [*done.lines, done.complaints]

    asyncio.run(build())
    return made


async def test_every_event_comes_once_and_in_order_though_the_line_breaks(
    built: Built, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        story = served.tell_a_story()
        done = await built.start(served.environment(), served.break_off)
        assert done.status == 0, done.complaints
        assert served.proxy.cuts == len(served.gates)
        assert done.complaints.count("The websocket was closed (1006).") == served.proxy.cuts
        assert event_lines(done.lines) == [line_of(event) for event in await served.log()]
        run = await served.only_run()
        assert run["output"] == {"story": story}
        assert done.lines[0] == "viewer one (READ WRITE EXECUTE)"
        assert f"run {run['id']}" in done.lines
        assert done.lines[-2] == f"listed {run['id']} SUCCEEDED"
        assert done.lines[-1].startswith('output {"story":"Part 0 “🌊”')


async def test_the_store_joins_the_pages_of_a_connection(built: Built, database_url: str, data_dir: Path) -> None:
    async with serving_example(database_url, data_dir) as served:
        for _ in range(5):
            done = await built.start(served.environment())
            assert done.status == 0, done.complaints
        runs = (await served.owner.ask("{ runs(first: 10) { nodes { id } } }"))["runs"]["nodes"]
        listed = [line.split()[1] for line in done.lines if line.startswith("listed ")]
        assert listed == [run["id"] for run in runs], "two to a page, newest first"
        assert len(listed) == 5


async def test_a_run_that_fails_is_told_and_is_no_success(built: Built, database_url: str, data_dir: Path) -> None:
    async with serving_example(database_url, data_dir) as served:
        served.refuse()
        done = await built.start(served.environment())
        assert done.status == 1
        assert event_lines(done.lines) == [line_of(event) for event in await served.log()]
        assert done.complaints.startswith("The run is FAILED: ")
        assert "no stories today" in done.complaints
        assert not [line for line in done.lines if line.startswith("output")]


async def test_a_wrong_token_a_key_that_may_not_write_and_a_server_that_is_not_there_are_told(
    built: Built, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir, scopes=("READ",)) as served:
        wrong = await built.start(served.environment(ANABRANCH_TOKEN="ak_wrong"))
        none = await built.start(served.environment(ANABRANCH_TOKEN=""))
        reader = await built.start(served.environment())
        nowhere = f"http://127.0.0.1:{free_port()}"
        lost = await built.start(served.environment(ANABRANCH_URL=nowhere))
    told = [done.complaints.rstrip("\n") for done in (wrong, none, reader, lost)]
    assert told[0] == "The server does not accept ANABRANCH_TOKEN: it is wrong, revoked or expired."
    assert told[1] == "Set ANABRANCH_TOKEN to an API key with the scopes WRITE and EXECUTE."
    assert told[2].startswith("FORBIDDEN: ")
    assert told[3].startswith(f"{nowhere}/graphql cannot be reached: ")
    assert [done.status for done in (wrong, none, reader, lost)] == [1, 1, 1, 1]


async def test_a_key_that_is_revoked_meanwhile_ends_the_program_instead_of_trying_for_ever(
    built: Built, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        served.tell_a_story()
        keys = "{ viewer { apiKeys(first: 1) { nodes { id } } } }"
        [key] = (await served.owner.ask(keys))["viewer"]["apiKeys"]["nodes"]
        heard = asyncio.Event()
        running = asyncio.create_task(
            built.start(served.environment(), lambda line: heard.set() if "NodeOutputDelta" in line else None)
        )
        await heard.wait()
        revoke = "mutation($i: RevokeApiKeyInput!) { revokeApiKey(input: $i) { userErrors { message } } }"
        assert (await served.owner.ask(revoke, i=key))["revokeApiKey"]["userErrors"] == []
        served.proxy.cut()
        done = await running
        assert done.status == 1
        assert done.complaints.endswith("The server does not accept ANABRANCH_TOKEN any more.\n")
