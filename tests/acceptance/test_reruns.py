"""Reruns and trials as a client sees them: over a socket, with tokens, and when the process dies in their midst."""

from __future__ import annotations

import itertools
import os
import random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.acceptance.test_reconnect import settings
from tests.acceptance.test_tables import CREATE_TABLE, killed_at, rows_of
from tests.support.openai_endpoint import answer, openai_endpoint
from tests.support.server_process import Caller, server_process
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 3
LENGTH, BEGIN = 8, 3

RERUN = """
mutation ($i: RerunRunInput!) {
  rerunRun(input: $i) { run { id } reusedNodeKeys executedNodeKeys userErrors { message } }
}
"""
TRY = "mutation ($i: TryNodeInput!) { tryNode(input: $i) { run { id } userErrors { message } } }"
STATES = "query ($id: ID!) { run(id: $id) { status output snapshot { nodes { key status } } } }"


async def test_a_stream_begins_with_what_is_reused_and_goes_on_with_what_is_done(data_dir: Path) -> None:
    async with (
        openai_endpoint() as endpoint,
        serving_anabranch(settings(data_dir, endpoint.base_url, "fake")) as url,
        aiohttp.ClientSession() as session,
    ):
        caller = Caller(url, session)
        await caller.sign_up()
        ask = {"transform": {"fields": [{"name": "q", "value": "{{ input.q }}"}]}}
        nodes = [
            {"key": "ask", "config": ask},
            {"key": "say", "config": {"llmCall": {"prompt": "{{ nodes.ask.output.q }}"}}},
            {
                "key": "keep",
                "config": {"transform": {"fields": [{"name": "t", "value": "{{ nodes.say.output.text }}"}]}},
            },
        ]
        edges = [{"source": "ask", "target": "say"}, {"source": "say", "target": "keep"}]
        workflow = await caller.create(name="Stream", graph={"nodes": nodes, "edges": edges})
        endpoint.script(answer("Once"))
        first = await caller.start(workflow, {"q": "tell me"})
        await caller.ended(first)

        endpoint.script(answer("Twice", " more"))
        told = (await caller.ask(RERUN, i={"runId": first, "from": "NODES", "nodeKeys": ["say"]}))["rerunRun"]
        assert (told["reusedNodeKeys"], told["executedNodeKeys"]) == (["ask"], ["say", "keep"])
        log = await caller.ended(told["run"]["id"])
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        assert steps(log) == [
            "RunQueued",
            "NodeReused ask",
            "RunStarted",
            "NodeStarted say",
            "NodeSucceeded say",
            "NodeStarted keep",
            "NodeSucceeded keep",
            "RunSucceeded",
        ]
        assert log[-1]["output"] == {"keep": {"t": "Twice more"}}
        assert len(endpoint.requests) == 2

        endpoint.script(answer("Thrice"))
        trial = (await caller.ask(TRY, i={"workflowId": workflow, "nodeKey": "say"}))["tryNode"]["run"]["id"]
        log = await caller.ended(trial)
        assert steps(log) == [
            "RunQueued",
            "NodeReused ask",
            "RunStarted",
            "NodeStarted say",
            "NodeSucceeded say",
            "RunSucceeded",
        ]
        assert "".join(event["text"] for event in log if event["__typename"] == "NodeOutputDelta") == "Thrice"
        assert "tell me" in str(endpoint.requests[-1].body)


def steps(log: list[dict[str, Any]]) -> list[str]:
    """Return a log as text, without pieces of texts."""
    return [
        f"{event['__typename']} {event.get('nodeKey', '')}".strip()
        for event in log
        if event["__typename"] != "NodeOutputDelta"
    ]


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_rerun_whose_process_is_killed_ends_as_it_would_have(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("ANABRANCH_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    draw = random.Random(seed)
    keys = [f"w{place}" for place in range(LENGTH)]
    nodes: list[dict[str, Any]] = []
    for key in keys:
        values = [{"column": "run", "value": "{{ run.id }}"}, {"column": "node", "value": key}]
        nodes.append({"key": key, "config": {"dbWrite": {"target": {"dataTable": "steps"}, "values": values}}})
    edges = [{"source": a, "target": b} for a, b in itertools.pairwise(keys)]
    async with aiohttp.ClientSession() as session, server_process(data_dir) as server:
        caller = Caller(server.url, session)
        await caller.sign_up()
        columns = [{"name": "run", "type": "TEXT"}, {"name": "node", "type": "TEXT"}]
        table = (await caller.ask(CREATE_TABLE, i={"name": "steps", "columns": columns}))["createDataTable"]
        first = await caller.start(await caller.create(name="Steps", graph={"nodes": nodes, "edges": edges}))
        await caller.ended(first)
        for round_ in range(ROUNDS):
            asked = {"runId": first, "from": "NODES", "nodeKeys": [keys[BEGIN]]}
            run_id = (await caller.ask(RERUN, i=asked))["rerunRun"]["run"]["id"]
            kills = await killed_at(server, caller, run_id, [draw.randrange(1, 2 * LENGTH - BEGIN)])
            log = await caller.ended(run_id)
            with capsys.disabled():
                print(f"\nround {round_ + 1}: seed {seed}, killed behind event {kills}", end="")  # noqa: T201
            assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
            assert steps(log)[: 1 + BEGIN] == ["RunQueued", *(f"NodeReused {key}" for key in keys[:BEGIN])]
            assert steps(log)[-1] == "RunSucceeded"
            done = [event["nodeKey"] for event in log if event["__typename"] == "NodeSucceeded"]
            assert done == keys[BEGIN:]
            # What is executed again writes again; what is reused does not.
            assert sorted(await rows_of(caller, table["dataTable"]["id"], run_id)) == keys[BEGIN:]
            states = (await caller.ask(STATES, id=run_id))["run"]["snapshot"]["nodes"]
            assert [node["status"] for node in states] == [*["REUSED"] * BEGIN, *["SUCCEEDED"] * (LENGTH - BEGIN)]
        assert sorted(await rows_of(caller, table["dataTable"]["id"], first)) == keys
