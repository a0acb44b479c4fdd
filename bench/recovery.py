"""Deaths and cancellations: how long until a dead process's runs go on, and until a cancelled node's peer is left alone."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from statistics import median, quantiles
from typing import TYPE_CHECKING

import aiohttp

from bench.serving import serve
from bench.world import World, world
from domain.ids import Prefix, to_global
from domain.workflow import Definition
from runtime.settings import OutboundSettings, RunsSettings
from tests.support.http_peer import HttpPeer, http_peer
from tests.support.server_process import now_ms
from tests.support.worker_process import CommandProcess, stopped_at_the_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.workflow import Workflow

_RUNS = 20
_NODE = "wait"
_CANCEL = "mutation($i: CancelRunInput!) { cancelRun(input: $i) { userErrors { message } } }"


async def measure_recovery(passes: int) -> dict[str, float]:
    """Return the times of takeovers by another process, and of cancellations in this one and in another."""
    async with http_peer() as peer:
        outbound = OutboundSettings(allowed=(peer.allowed["ANABRANCH_OUTBOUND__ALLOWED"],))
        async with world(outbound=outbound) as made:
            figures = _told("cancel → disconnect", await _cancellations(made, peer, 10 * passes))
        async with world(outbound=outbound, runs=RunsSettings(max_concurrent_runs=0)) as made:
            data_dir = made.services.settings.data_dir
            workers = [CommandProcess(data_dir, ("worker",), peer.allowed, name) for name in ("first", "second")]
            with stopped_at_the_end(*workers):
                holder, heir = workers
                holder.start()
                await holder.started()
                spans = await _cancellations(made, peer, 10 * passes)
                figures |= _told("… in another process", spans)
                figures |= _told("kill -9 → runs go on", await _takeovers(made, peer, [holder, heir], passes))
    return figures


def _told(name: str, spans: Sequence[float]) -> dict[str, float]:
    return {f"{name}, p50 ms": median(spans), f"{name}, p95 ms": quantiles(spans, n=20)[-1]}


async def _begun(made: World, peer: HttpPeer, workflow: Workflow) -> str:
    """Start a run, and wait until its node waits for the peer."""
    run = await made.services.runs.start(made.actor, workflow.id, None)
    name = to_global(Prefix.RUN, run.id)
    await peer.called(name, _NODE)
    return name


async def _workflow(made: World, peer: HttpPeer, name: str) -> Workflow:
    graph = {"nodes": [peer.node(_NODE, "gate=never")], "edges": []}
    return await made.workflow(name, Definition.model_validate({"graph": graph}))


async def _takeovers(made: World, peer: HttpPeer, processes: Sequence[CommandProcess], passes: int) -> Sequence[float]:
    """Kill the process that holds the runs while another one is ready; measure until each run's node is begun anew."""
    holder, heir = processes
    workflow = await _workflow(made, peer, "Held")
    runs = [await _begun(made, peer, workflow) for _ in range(_RUNS)]
    spans: list[float] = []
    for _ in range(passes):
        heir.start()
        await heir.started()
        # The death comes at any moment between two of the heir's looks, and not always right behind its first.
        await asyncio.sleep(random.random())
        calls = {run: peer.calls[run, _NODE] for run in runs}
        killed_at = now_ms()
        await asyncio.to_thread(holder.kill)

        async def gone_on(run: str, calls: int, killed_at: float) -> float:
            await peer.called(run, _NODE, calls + 1)
            return now_ms() - killed_at

        spans += await asyncio.gather(*(gone_on(run, count, killed_at) for run, count in calls.items()))
        holder, heir = heir, holder
    return spans


async def _cancellations(made: World, peer: HttpPeer, count: int) -> Sequence[float]:
    """Cancel runs over HTTP; measure until the peer sees that nobody waits for its answer any more."""
    workflow = await _workflow(made, peer, "Cancelled")
    signed_in = await made.services.identity.sign_in("bench@example.com", "bench-password", address="")
    headers = {"Authorization": f"Bearer {signed_in.access_token}"}
    running, task, url = await serve(made)
    spans: list[float] = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(count):
            run = await _begun(made, peer, workflow)
            begun = now_ms()
            body = {"query": _CANCEL, "variables": {"i": {"id": run}}}
            async with session.post(f"{url}/graphql", json=body) as answer:
                assert (await answer.json())["data"]["cancelRun"]["userErrors"] == []
            spans.append(await peer.left(run, _NODE) - begun)
    running.should_exit = True
    with suppress(asyncio.CancelledError):
        await task
    return spans
