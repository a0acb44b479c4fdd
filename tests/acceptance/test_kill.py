"""Promise 1: nothing completed is lost or run again, however often the process dies.

`ANABRANCH_TEST_SABOTAGE=fence` or `=keys` switches off what protects the log, to show that this test then fails.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from domain.events import NodeSucceeded, RunStarted
from domain.ids import Prefix, from_global
from domain.ports.runs import Group
from persistence import run_log
from persistence.append_statement import APPEND
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from persistence.run_log import PostgresRunLog
from tests.support.server_process import Caller, ServerProcess, now_ms, server_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.errors import AnabranchError
    from domain.events import Event
    from persistence.database import Database

ROUNDS = int(os.environ.get("ANABRANCH_TEST_ROUNDS", "20"))
LAYERS, WIDTH, TAIL = 11, 5, 5
KEYS = [
    *(f"n{layer}_{place}" for layer in range(LAYERS) for place in range(WIDTH)),
    *(f"t{place}" for place in range(TAIL)),
]
SABOTAGE = os.environ.get("ANABRANCH_TEST_SABOTAGE", "")


class Endpoint:
    """Answers a node once the client has seen it start, so that the server is never ahead of the client by an end."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], asyncio.Event] = {}
        self.keys: dict[tuple[str, str], set[str]] = {}
        self.url = ""

    def gate(self, run: str, node: str) -> asyncio.Event:
        return self.seen.setdefault((run, node), asyncio.Event())

    async def answer(self, request: web.Request) -> web.Response:
        place = request.match_info["run"], request.match_info["node"]
        self.keys.setdefault(place, set()).add(request.headers["Idempotency-Key"])
        await self.gate(*place).wait()
        return web.json_response({"node": place[1]})


@asynccontextmanager
async def endpoint() -> AsyncGenerator[Endpoint]:
    made = Endpoint()
    app = web.Application()
    app.router.add_post("/{run}/{node}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def graph(url: str) -> dict[str, Any]:
    """Return layers that cross, and a tail: so the last start is the last event before the run can end."""
    config = {"method": "POST", "url": f"{url}/{{{{ run.id }}}}/"}
    nodes = [{"key": key, "config": {"httpRequest": {**config, "url": config["url"] + key}}} for key in KEYS]
    edges: list[dict[str, Any]] = []
    for layer in range(1, LAYERS):
        for place in range(WIDTH):
            edges += [
                {"source": f"n{layer - 1}_{before}", "target": f"n{layer}_{place}"}
                for before in (place, (place + 1) % WIDTH)
            ]
    edges += [{"source": f"n{LAYERS - 1}_{place}", "target": "t0"} for place in range(WIDTH)]
    edges += [{"source": f"t{place - 1}", "target": f"t{place}"} for place in range(1, TAIL)]
    return {"nodes": nodes, "edges": edges}


async def watch(caller: Caller, gates: Endpoint, run_id: str, log: list[dict[str, Any]], stop_at: int | None) -> bool:
    """Follow behind what was seen; True when event number `stop_at` was seen, False when the run ended."""
    after = log[-1]["cursor"] if log else None
    async with aclosing(caller.follow(run_id, after)) as events:
        async for event in events:
            log.append(event)
            if len(log) == stop_at:
                return True
            if event["__typename"] == "NodeStarted":
                gates.gate(run_id, event["nodeKey"]).set()
    return False


async def haunt(
    database: Database, run_id: str, seen: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Do what a process that is not quite dead could do: append under its old lease, and repeat what is stored."""
    if SABOTAGE == "fence":
        monkeypatch.setattr(run_log, "APPEND", APPEND.replace("r.lease_epoch = a.epoch", "true"))
    answers: list[str] = []
    log = PostgresRunLog(database, "ghost")
    writing = asyncio.create_task(log.run(), name="ghost")
    ended = {event["nodeKey"] for event in seen if event["__typename"] == "NodeSucceeded"}
    running = [e["nodeKey"] for e in seen if e["__typename"] == "NodeStarted" and e["nodeKey"] not in ended]
    late: list[tuple[int, list[Event]]] = [(2, [RunStarted()])]
    if running:
        late.append((1, [NodeSucceeded(running[0], None, 1, ("out",), 1, output=b'"ghost"')]))

    def refused(_group: Group, error: AnabranchError) -> None:
        answers.append(type(error).__name__)

    def stored(_group: Group, base: int) -> None:
        answers.append(f"stored {base + 1}")

    for epoch, events in late:
        uuid = from_global(Prefix.RUN, run_id)
        log.append(Group(UUID(str(uuid)), epoch, datetime.now(UTC), events, stored, refused))
    await log.drained()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return answers


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_run_survives_the_death_of_its_process_at_any_event(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("ANABRANCH_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    draw = random.Random(seed)
    recoveries: list[float] = []
    async with endpoint() as gates, aiohttp.ClientSession() as session:
        allowed = {"ANABRANCH_OUTBOUND__ALLOWED": f'["{gates.url.removeprefix("http://")}"]'}
        async with server_process(data_dir, allowed) as server, own_database(data_dir) as database:
            caller = Caller(server.url, session)
            await caller.sign_up()
            settings = {"maxParallelNodes": 4}
            workflow = await caller.create(name="Sixty", graph=graph(gates.url), settings=settings)
            # RunQueued, RunStarted, 60 starts, 60 ends, RunSucceeded; the last two are one commit, so who sees the last
            # NodeSucceeded sees a run that has ended: the latest event at which a kill can interrupt is the last start.
            last = 3 + 2 * len(KEYS) - 2
            for round_ in range(ROUNDS):
                k = draw.randint(2, last)
                with capsys.disabled():
                    print(f"\nround {round_ + 1}: seed {seed}, killed at event {k}", end="")  # noqa: T201
                await one_round(server, caller, gates, workflow, k, database, recoveries, monkeypatch)
    recoveries.sort()
    with capsys.disabled():
        print(f"\nkill to RunRecovered at the client, ms: median {recoveries[len(recoveries) // 2]:.0f}")  # noqa: T201


@asynccontextmanager
async def own_database(data_dir: Path) -> AsyncGenerator[Database]:
    async with embedded_postgres(data_dir) as url, open_database(url, pool_size=2) as database:
        if SABOTAGE == "keys":
            async with database.direct() as connection:
                await connection.execute("ALTER TABLE run_events DROP CONSTRAINT run_events_run_id_event_key_key")
        yield database


async def one_round(  # noqa: PLR0917 -- the parts of a round
    server: ServerProcess,
    caller: Caller,
    gates: Endpoint,
    workflow: str,
    k: int,
    database: Database,
    recoveries: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[dict[str, Any]] = []
    run_id = await caller.start(workflow)
    assert await watch(caller, gates, run_id, log, stop_at=k)
    await asyncio.to_thread(server.kill)
    killed_at = now_ms()
    await server.start()
    while not any(event["__typename"] == "RunRecovered" for event in log):
        assert await watch(caller, gates, run_id, log, stop_at=len(log) + 1)
    recoveries.append(now_ms() - killed_at)
    answers = await haunt(database, run_id, log, monkeypatch)
    for event in log:
        if event["__typename"] == "NodeStarted":
            gates.gate(run_id, event["nodeKey"]).set()
    assert not await watch(caller, gates, run_id, log, stop_at=None)
    check(log, run_id, gates)
    assert answers in (["stored 2"], ["stored 2", "Fenced"])
    listed = await whole_log(caller, run_id)
    assert listed == [(event["seq"], event["__typename"]) for event in log]


def check(log: list[dict[str, Any]], run_id: str, gates: Endpoint) -> None:
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    types = Counter(event["__typename"] for event in log)
    assert types["RunRecovered"] == 1
    assert types["RunStarted"] == 1
    assert log[-1]["__typename"] == "RunSucceeded"
    succeeded = Counter(event["nodeKey"] for event in log if event["__typename"] == "NodeSucceeded")
    assert succeeded == dict.fromkeys(KEYS, 1)
    assert types["NodeFailed"] == types["NodeRetrying"] == 0
    # A node that was cut off ran again, and said so with the same key.
    assert all(len(keys) == 1 for (run, _), keys in gates.keys.items() if run == run_id)
    assert all(
        event["output"]["body"] == {"node": event["nodeKey"]}
        for event in log
        if "output" in event and "nodeKey" in event
    )


async def whole_log(caller: Caller, run_id: str) -> list[tuple[int, str]]:
    listed: list[tuple[int, str]] = []
    after = None
    while True:
        data = await caller.ask(
            """query($id: ID!, $after: String) { run(id: $id) { events(first: 100, after: $after) {
                 pageInfo { hasNextPage endCursor } nodes { seq __typename } } } }""",
            id=run_id,
            after=after,
        )
        page = data["run"]["events"]
        listed += [(node["seq"], node["__typename"]) for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return listed
