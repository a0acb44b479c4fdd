"""`make bench`: interleaved pairs, medians of ratios. Figures, not tests; the machine is noisy, so ratios count."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

import uvloop

from bench.ingestion import measure_ingestion
from bench.streams import many_subscribers, start_to_node_started
from bench.throughput import chain_of_100, fan_of_100, nodes_per_second
from bench.vectors import measure_vectors
from bench.world import World, world
from runtime.memory import tune_collector

if TYPE_CHECKING:
    import uvicorn


async def serve(made: World) -> tuple[uvicorn.Server, asyncio.Task[None], str]:
    """Serve the world's services on a free loopback port."""
    from contextlib import asynccontextmanager  # noqa: PLC0415 -- beside its only use

    from gql.app import create_app, listen, server  # noqa: PLC0415 -- the API is wanted here only

    @asynccontextmanager
    async def same(_settings: object):  # noqa: ANN202 -- given to create_app
        yield made.services

    settings = made.services.settings.model_copy(update={"port": 0})
    app = await asyncio.to_thread(create_app, settings, open_services=same)
    started = asyncio.Event()
    running = server(app, settings, on_started=started.set)
    listening = listen(settings)
    listener = listening.__enter__()
    task = asyncio.create_task(running.serve(sockets=[listener]), name="bench server")
    await started.wait()
    return running, task, f"http://127.0.0.1:{listener.getsockname()[1]}"


async def measure_runs(passes: int) -> dict[str, float]:
    """Return the figures of runs and of those who watch them."""
    async with world() as made:
        figures: dict[str, float] = {}
        figures |= await nodes_per_second(made, passes)
        figures |= await chain_of_100(made, passes * 2)
        figures |= await fan_of_100(made, passes * 2)
        signed_in = await made.services.identity.sign_in("bench@example.com", "bench-password", address="")
        running, task, url = await serve(made)
        figures |= await start_to_node_started(made, url, signed_in.access_token, 200)
        figures |= await many_subscribers(made, url, signed_in.access_token, 1_000)
        running.should_exit = True
        await task
        figures["raw commits/s of one client"] = 1 / await made.raw_commit_s()
    return figures


MEASUREMENTS = {"runs": measure_runs, "vectors": measure_vectors, "ingestion": measure_ingestion}


async def main(passes: int, only: str | None) -> None:
    """Measure and print."""
    for name, measure in MEASUREMENTS.items():
        if only in (None, name):
            for figure, value in (await measure(passes)).items():
                print(f"{figure:<48} {value:>12,.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--passes", type=int, default=7, help="passes of each measurement (7)")
    parser.add_argument("--only", choices=MEASUREMENTS, help="one measurement; all if absent")
    given = parser.parse_args()
    tune_collector()
    sys.exit(uvloop.run(main(given.passes, given.only)))
