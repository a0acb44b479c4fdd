"""What each example is for happens when it runs: over the API, and as `anabranch run FILE --watch` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from rich.console import Console

from domain.run import NodeRunStatus, RunStatus
from gql.client.events import NodeRetrying
from gql.client.faults import RequestRefused
from gql.client.session import ApiClient
from gql.client.stream import Patience
from gql.commands.answers import answer
from gql.commands.workflow_runs import Given, prepare, read_input, start
from gql.watch import Onlooker, watch
from tests.acceptance.test_examples import EXAMPLES, EXPECTED, FAILING, INPUTS, NEEDS, client, real_model
from tests.support.services import settings_on
from tests.support.web_server import web_server
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from gql.client.events import Event
    from gql.client.run_view import RunView
    from tests.support.web_server import WebServer

__all__ = ["client", "real_model"]
RUNS = "query { runs(first: 1) { nodes { id } } }"
QUESTIONS = "query { runs(first: 1) { nodes { approvals(first: 5) { nodes { id status } } } } }"


@pytest.fixture
async def web_() -> AsyncGenerator[WebServer]:
    """A server outside, which nodes may reach."""
    async with web_server() as server:
        yield server


@pytest.fixture
async def api(database_url: str, data_dir: Path, web_: WebServer) -> AsyncGenerator[ApiClient]:
    """Anabranch without models, and a client that is signed in."""
    async with (
        serving_anabranch(settings_on(database_url, data_dir), allowed=(web_.allowed,)) as url,
        aiohttp.ClientSession() as http,
    ):
        client = ApiClient(http, url)
        await client.sign_up("ada@example.com", "a river that rejoins")
        yield client


async def seen(api: ApiClient, name: str, **given: Any) -> tuple[RunView, list[Event]]:
    """Run an example; returns how it ended and all its events."""
    workflow = await prepare(api, str(EXAMPLES[name].path))
    values = read_input(Given(), workflow.input_schema, api.url) | given
    events: list[Event] = []
    onlooker = Onlooker(lambda event, _: events.append(event), lambda _: None, Patience())
    run_id = await start(api, workflow, values)
    return await watch(api, run_id, Console(file=io.StringIO()), onlooker), events


def told(events: list[Event]) -> list[str]:
    return [f"{event.type} {getattr(event, 'node_key', '')}".strip() for event in events]


def statuses(view: RunView) -> dict[str, NodeRunStatus]:
    return {key: node.status for key, node in view.nodes.items()}


async def test_reach_goes_on_with_the_first_way_that_is_through(api: ApiClient) -> None:
    view, events = await seen(api, "reach", message="x", phone="+43 1", post="Echuca")
    order = told(events)
    assert order.index("NodeSucceeded told") < order.index("NodeStarted letter")
    assert view.output == {"by": "+43 1", "letter": "Echuca"}


async def test_reach_leaves_out_the_ways_that_have_no_address(api: ApiClient) -> None:
    view, _ = await seen(api, "reach", message="x")
    assert view.status is RunStatus.SUCCEEDED
    assert set(statuses(view).values()) == {NodeRunStatus.SKIPPED}
    assert view.output == {"by": "nobody", "letter": "none"}


async def test_fallback_goes_on_with_a_default_and_on_another_way(api: ApiClient) -> None:
    view, _ = await seen(api, "fallback")
    assert statuses(view) == {
        "rate": NodeRunStatus.FAILED,
        "news": NodeRunStatus.FAILED,
        "quote": NodeRunStatus.SKIPPED,
        "excuse": NodeRunStatus.SUCCEEDED,
        "tell": NodeRunStatus.SUCCEEDED,
    }


async def test_patience_fails_by_the_clock_of_the_node_and_takes_the_other_way(api: ApiClient) -> None:
    view, events = await seen(api, "patience")
    [failed] = [event for event in events if event.type == "NodeFailed"]
    assert getattr(failed, "node_key", None) == "delivery"
    assert statuses(view)["arrived"] is NodeRunStatus.SKIPPED
    assert (events[-1].at - events[0].at).total_seconds() < 10


async def test_salvage_does_what_does_not_depend_on_the_failure(api: ApiClient) -> None:
    view, events = await seen(api, "salvage")
    assert view.status is RunStatus.FAILED
    assert statuses(view) == {
        "alive": NodeRunStatus.SUCCEEDED,
        "pause": NodeRunStatus.SUCCEEDED,
        "page": NodeRunStatus.FAILED,
        "archive": NodeRunStatus.SUCCEEDED,
        "publish": NodeRunStatus.SKIPPED,
    }
    order = told(events)
    assert order.index("NodeFailed page") < order.index("NodeSucceeded archive")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lines": []}, "lines: it has less than 1 item"),
        ({"lines": [{"article": "tea", "price": -1}]}, "lines.0.price: it is less than the minimum of 0"),
        ({"lines": [{"article": "tea"}]}, "lines.0.price: it is required and missing"),
        ({"country": "AT"}, "lines: it is required and missing"),
    ],
)
async def test_order_refuses_what_its_schema_does_not_allow_and_says_where(
    api: ApiClient, wrong: dict[str, Any], told: str
) -> None:
    workflow = await prepare(api, str(EXAMPLES["order"].path))
    with pytest.raises(RequestRefused) as refused:
        await start(api, workflow, wrong)
    assert str(refused.value) == f"The input does not satisfy the workflow's schema: {told}."
    assert (await api.execute(RUNS, {}))["runs"]["nodes"] == []


async def test_persist_asks_until_it_is_answered_and_its_pauses_grow(api: ApiClient, web_: WebServer) -> None:
    async def busy_twice(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=200 if len(web_.asked) > 2 else 503)

    web_.handlers["/busy"] = busy_twice
    view, events = await seen(api, "persist", address=f"{web_.url}/busy")
    assert (view.status, len(web_.asked)) == (RunStatus.SUCCEEDED, 3)
    pauses = [event.next_attempt_at - event.at for event in events if isinstance(event, NodeRetrying)]
    assert [round(pause.total_seconds(), 1) for pause in pauses] == [0.2, 0.4]


async def test_turns_works_for_one_account_at_a_time_and_for_others_beside_it(api: ApiClient) -> None:
    await prepare(api, str(EXAMPLES["turns"].path))
    accounts = ("ada", "ada", "bob")
    views = [view for view, _ in await asyncio.gather(*(seen(api, "turns", account=one) for one in accounts))]
    spans: list[Any] = [view.output for view in views]
    first, second = sorted(spans[:2], key=lambda span: span["begun"])
    assert first["ended"] <= second["begun"]
    assert spans[2]["begun"] < first["ended"]


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_every_example_runs_from_the_command_line_and_shows_its_end_and_its_output(
    client: ApiClient, tmp_path: Path
) -> None:
    assert client.tokens is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    environment |= {"ANABRANCH_URL": client.url, "ANABRANCH_API_KEY": client.tokens.access_token, "COLUMNS": "200"}
    # What calls others comes behind them; what adds to the library comes behind what searches it.
    for name in sorted(EXAMPLES, key=lambda name: (name == "learn", len(NEEDS.get(name, ())), name)):
        given = orjson.dumps(INPUTS[name]).decode()
        command = [sys.executable, "-m", "anabranch", "run", str(EXAMPLES[name].path), "--watch", "--input-json", given]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        answering = asyncio.create_task(approve_when_asked(client, process), name="approve")
        async with asyncio.timeout(60):
            out, err = (text.decode() for text in await process.communicate())
            await answering
        assert (process.returncode, err) == (int(name in FAILING), ""), (name, out)
        assert out.startswith(f"Workflow {name}, revision "), out
        assert ("FAILED" if name in FAILING else "SUCCEEDED") in out, out
        if name not in FAILING:
            printed = orjson.loads(out[out.index("\n{") :])
            assert {field: printed[field] for field in EXPECTED[name]} == EXPECTED[name]


async def approve_when_asked(client: ApiClient, process: asyncio.subprocess.Process) -> None:
    """Approve whatever is asked until the process ends."""
    while process.returncode is None:
        for run in (await client.execute(QUESTIONS, {}))["runs"]["nodes"]:
            for one in run["approvals"]["nodes"]:
                if one["status"] == "OPEN":
                    await answer(client, one["id"], "approve", None)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.2)
