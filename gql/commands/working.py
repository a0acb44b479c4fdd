"""`worker`: executes runs in this process, and serves nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from domain.errors import DatabaseUnavailable, SetupFault
from gql.commands.stopping import stop_signals
from gql.logs import configure_logs
from runtime.databases import database_url, is_migrated
from runtime.memory import tune_collector
from runtime.services import open_services

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.settings import Settings

_LOOK_S: Final = 0.5


async def work_forever(settings: Settings, console: Console, wait_s: float) -> None:
    """Do what `anabranch worker` says; a signal hands the runs over.

    Raises:
        SetupFault: the database is not migrated within `wait_s`, or the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer within `wait_s`.
    """
    if settings.runs.max_concurrent_runs == 0:
        raise SetupFault("A worker without room for runs does nothing: give --concurrency.")
    configure_logs()
    # An embedded database stays up between two looks at it.
    async with database_url(settings):
        await _migrated(settings, console, wait_s)
        async with open_services(settings, is_migrating=False):
            tune_collector()
            with stop_signals() as stopping:
                count = settings.runs.max_concurrent_runs
                console.print(f"Anabranch works on up to {count:,} runs at once; Ctrl-C stops it.", highlight=False)
                await stopping.wait()


async def _migrated(settings: Settings, console: Console, wait_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + wait_s
    is_told = False
    while True:
        is_late = asyncio.get_running_loop().time() >= deadline
        try:
            if await is_migrated(settings):
                return
        except DatabaseUnavailable:
            if is_late:
                raise
        if is_late:
            raise SetupFault(
                f"The database did not get this version's tables within {wait_s:g} s: start `anabranch serve`, which "
                "makes them in the embedded database, or run `anabranch migrate`."
            )
        if not is_told:
            console.print("Waiting until the database has this version's tables …", highlight=False)
            is_told = True
        await asyncio.sleep(_LOOK_S)
