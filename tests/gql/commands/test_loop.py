from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio
from gql.commands import loop

async def stay(reached):
    reached.set()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def work():
    reached = asyncio.Event()
    task = asyncio.create_task(stay(reached))
    await reached.wait()
    return 7

loop._LAST_GRACE_S = 0.05
print(loop.run(work()), flush=True)
"""


def test_a_task_that_ignores_its_cancellation_does_not_keep_the_process() -> None:
    done = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "7\n")
