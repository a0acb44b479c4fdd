"""`examples/clients/apollo` and `urql`: copied to a folder of their own, and run over a line that breaks."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.client_examples import (
    CLIENTS,
    PARTS,
    copy_example,
    event_lines,
    line_of,
    run_program,
    serving_example,
    serving_example_to_kill,
)
from tests.support.node import find_node, install
from tests.support.openai_endpoint import answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.client_examples import Finished, ServedExample
    from tests.support.node import Node

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
RUNS_TYPESCRIPT = 24
SCHEMA = CLIENTS.parents[1] / "schema.graphql"


@dataclass(frozen=True)
class Example:
    """A copy of an example, with its packages."""

    folder: Path
    node: Node

    async def follow(
        self, served: ServedExample, hear: Callable[[str], None] = lambda _: None, **environment: str
    ) -> Finished:
        """Run it against a server."""
        command = [str(self.node.program), "follow.ts"]
        return await run_program(command, self.folder, served.environment(**environment), hear)

    def tool(self, *command: str) -> None:
        """Run a program of its packages, which has to succeed."""
        done = subprocess.run(  # noqa: S603 -- ours
            [str(self.node.program), *command], cwd=self.folder, env=self.node.environment | {"SCHEMA": str(SCHEMA)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", params=["apollo", "urql"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    node = find_node(RUNS_TYPESCRIPT)
    folder = copy_example(request.param, tmp_path_factory.mktemp("clients"))
    install(node, folder, is_optional_left_out=False)
    return Example(folder, node)


async def test_every_event_is_printed_once_and_in_order_though_the_line_breaks_again_and_again(
    example: Example, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        story = served.tell_a_story()
        done = await example.follow(served, served.break_off)
        assert (done.status, served.proxy.cuts) == (0, PARTS), done.complaints
        log = await served.log()
    assert event_lines(done.lines) == [line_of(event) for event in log]
    assert "".join(event["text"] for event in log if "text" in event) == story
    assert done.lines[-1] == f"Output: {json.dumps({'story': story}, ensure_ascii=False, separators=(',', ':'))}"


@pytest.mark.parametrize("code", [1000, 1011])
async def test_sockets_that_are_closed_bring_each_event_once(
    example: Example, code: int, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        served.tell_a_story()
        done = await example.follow(served, lambda line: served.break_off(line, lambda: served.proxy.close(code)))
        assert (done.status, served.proxy.cuts) == (0, PARTS), done.complaints
        assert event_lines(done.lines) == [line_of(event) for event in await served.log()]


async def test_a_network_that_falls_silent_is_given_up_and_the_log_goes_on(
    example: Example, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        served.tell_a_story()

        def hush_once(line: str) -> None:
            served.break_off(line, lambda: None if served.proxy.cuts else served.proxy.hush())

        done = await example.follow(served, hush_once)
        assert (done.status, served.proxy.cuts) == (0, 1), done.complaints
        assert event_lines(done.lines) == [line_of(event) for event in await served.log()]


async def test_the_workflow_is_changed_and_not_made_twice(example: Example, database_url: str, data_dir: Path) -> None:
    async with serving_example(database_url, data_dir) as served:
        statuses = [(await example.follow(served)).status for _ in range(2)]
        told = await served.owner.ask("{ workflows(first: 5) { nodes { slug } } runs(first: 5) { nodes { status } } }")
    assert statuses == [0, 0]
    assert told["workflows"]["nodes"] == [{"slug": "client-story"}]
    assert told["runs"]["nodes"] == [{"status": "SUCCEEDED"}] * 2


async def test_what_goes_wrong_is_told_in_a_sentence(example: Example, database_url: str, data_dir: Path) -> None:
    async with serving_example(database_url, data_dir) as served:
        served.refuse()
        failed = await example.follow(served)
        forged = await example.follow(served, ANABRANCH_TOKEN="ak_forged")
        missing = await example.follow(served, ANABRANCH_TOKEN="")
        away = await example.follow(served, ANABRANCH_URL="http://127.0.0.1:1024")
        reading = await example.follow(served, ANABRANCH_TOKEN=await served.make_key("READ"))
    told = [done.complaints for done in (failed, forged, missing, away, reading)]
    assert "The run FAILED: MODEL_REFUSED" in told[0]
    assert "(node write)" in told[0]
    assert told[1].startswith("The server does not know this token")
    assert told[2].startswith("Set ANABRANCH_TOKEN")
    assert told[3].startswith("No answer from http://127.0.0.1:1024 (ECONNREFUSED)")
    assert told[4].startswith("The workflow was refused")
    assert "(FORBIDDEN)" in told[4]
    assert [done.status for done in (failed, forged, missing, away, reading)] == [1] * 5
    assert [text.count("\n") for text in told] == [1] * 5


async def test_a_server_that_is_killed_and_started_again_loses_and_doubles_nothing(
    example: Example, data_dir: Path
) -> None:
    async with serving_example_to_kill(data_dir) as (server, served), asyncio.TaskGroup() as tasks:
        served.tell_a_story()
        served.endpoint.script(answer("Another ", "story."))
        kills = 0

        def kill(line: str) -> None:
            nonlocal kills
            if " done 0." in line and not kills:
                kills += 1
                server.kill()
                tasks.create_task(server.start(), name="start the server again")

        done = await example.follow(served, kill)
        assert (done.status, kills) == (0, 1), done.complaints
        assert event_lines(done.lines) == [line_of(event) for event in await served.log()]
        assert done.lines[-1] == 'Output: {"story":"Another story."}'


async def test_a_key_that_is_revoked_meanwhile_ends_the_program(
    example: Example, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served, asyncio.TaskGroup() as tasks:
        served.tell_a_story()

        def revoke(line: str) -> None:
            if " done 0." in line:
                tasks.create_task(served.revoke_keys(), name="revoke the key")

        done = await example.follow(served, revoke)
        assert (done.status, event_lines(done.lines) != []) == (1, True)
        assert done.complaints.startswith("The server does not know this token")
        # The run is nobody's to wait for.
        for gate in served.gates:
            gate.set()


CACHE = """
import { gql } from "@apollo/client";
import { makeCache } from "./cache.ts";
const cache = makeCache();
const events = gql`query ($id: ID!) { run(id: $id) { id status events(first: 1) { nodes { seq ... on NodeEvent { nodeKey } } } } }`;
const started = { __typename: "NodeStarted", seq: 3, nodeKey: "write" };
const run = { __typename: "Run", id: "run_1", status: "RUNNING", events: { __typename: "RunEventConnection", nodes: [started] } };
cache.writeQuery({ query: events, variables: { id: "run_1" }, data: { run } });
const read = (query, id) => cache.readQuery({ query, variables: { id } });
const status = gql`query ($id: ID!) { run(id: $id) { id status } }`;
const node = gql`query ($id: ID!) { node(id: $id) { id ... on Run { status } } }`;
cache.writeQuery({ query: node, variables: { id: "run_2" }, data: { node: { __typename: "Run", id: "run_2", status: "FAILED" } } });
cache.writeQuery({ query: status, variables: { id: "run_3" }, data: { run: null } });
console.log(JSON.stringify([
  read(events, "run_1").run.events.nodes,
  read(node, "run_2"),
  read(status, "run_2"),
  read(status, "run_3"),
  read(status, "run_4"),
]));
"""


@pytest.mark.parametrize("example", ["apollo"], indirect=True)
async def test_apollos_cache_keeps_fields_of_interfaces_and_finds_objects_by_their_ids(example: Example) -> None:
    await asyncio.to_thread((example.folder / "probe.mjs").write_text, CACHE)
    done = await run_program([str(example.node.program), "probe.mjs"], example.folder, example.node.environment)
    assert done.status == 0, done.complaints
    assert json.loads(done.lines[-1]) == [
        [{"__typename": "NodeStarted", "seq": 3, "nodeKey": "write"}],
        {"node": {"__typename": "Run", "id": "run_2", "status": "FAILED"}},
        {"run": {"__typename": "Run", "id": "run_2", "status": "FAILED"}},
        {"run": None},
        None,
    ]


def test_the_types_hold_and_are_those_of_the_schema(example: Example) -> None:
    written = {path: path.read_text() for path in (example.folder / "generated").iterdir()}
    example.tool("node_modules/typescript/bin/tsc")
    example.tool("node_modules/@graphql-codegen/cli/esm/bin.js")
    assert {path: path.read_text() for path in (example.folder / "generated").iterdir()} == written
