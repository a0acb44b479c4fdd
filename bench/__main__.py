"""`make bench`: interleaved pairs, medians of ratios. Figures, not tests; the machine is noisy, so ratios count."""

from __future__ import annotations

import argparse
import asyncio
import sys

from bench.ingestion import measure_ingestion
from bench.recovery import measure_recovery
from bench.serving import serve
from bench.sizes import large_beside_small
from bench.streams import many_subscribers, start_to_node_started
from bench.throughput import chain_of_100, fan_of_100, nodes_per_second
from bench.vectors import measure_vectors
from bench.world import world
from gql.commands.loop import run
from runtime.memory import tune_collector


async def measure_runs(passes: int) -> dict[str, float]:
    """Return the figures of runs and of those who watch them."""
    async with world() as made:
        figures: dict[str, float] = {}
        figures |= await nodes_per_second(made, passes)
        figures |= await chain_of_100(made, passes * 2)
        figures |= await fan_of_100(made, passes * 2)
        figures |= await large_beside_small(made, passes)
        signed_in = await made.services.identity.sign_in("bench@example.com", "bench-password", address="")
        running, task, url = await serve(made)
        figures |= await start_to_node_started(made, url, signed_in.access_token, 200)
        figures |= await many_subscribers(made, url, signed_in.access_token, 1_000)
        running.should_exit = True
        await task
        figures["raw commits/s of one client"] = 1 / await made.raw_commit_s()
    return figures


MEASUREMENTS = {
    "runs": measure_runs,
    "recovery": measure_recovery,
    "vectors": measure_vectors,
    "ingestion": measure_ingestion,
}


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
    try:
        run(main(given.passes, given.only))  # stops its PostgreSQL on SIGTERM too
    except KeyboardInterrupt:
        sys.exit(130)
    except asyncio.CancelledError:
        sys.exit(143)
