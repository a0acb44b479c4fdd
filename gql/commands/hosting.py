"""`serve` and `dev`: the server in this process, and the lines that say where it listens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import aiohttp

from domain.errors import SetupFault
from gql.app import create_app, listen, server
from gql.client.session import ApiClient
from gql.commands import developer
from gql.commands.calling import run_example
from gql.commands.loopback import HOST, address_of, on_loopback, with_embedder, with_model
from gql.commands.stopping import stop_signals
from gql.commands.supervisor import Supervisor
from gql.logs import configure_logs
from runtime.memory import tune_collector
from runtime.metric_files import EndedProcesses
from runtime.metrics import SHARED_FOLDER
from runtime.services import open_identity
from runtime.services import open_services as open_all_services

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import TypeAlias

    from rich.console import Console

    from gql.app import OpenServices
    from runtime.identity import IdentityService
    from runtime.services import Services
    from runtime.settings import Settings

    Announce: TypeAlias = Callable[[Services], Awaitable[None]]


_EMBEDDED_CONNECTIONS: Final = 190
"""What the embedded PostgreSQL has, but for some that are left for commands and workers beside the server."""
_OWN_CONNECTIONS: Final = 9
"""What a process may hold beside its pool: its lock, its log, what it hears, rows on their way, a rebuild, a probe."""


async def host(
    settings: Settings,
    listener: socket.socket,
    announce: Announce,
    *,
    open_services: OpenServices = open_all_services,
) -> None:
    """Serve on the listening socket until a signal comes; `announce` runs beside the server and is stopped with it.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    configure_logs()
    # It reads files, and takes seconds.
    app = await asyncio.to_thread(partial(create_app, settings, open_services=open_services))
    tune_collector()
    started = asyncio.Event()

    async def announce_later() -> None:
        await started.wait()
        await announce(app.state.services)

    async with asyncio.TaskGroup() as group:
        announcing = group.create_task(announce_later(), name="announce the server")
        await server(app, settings, on_started=started.set).serve(sockets=[listener])
        announcing.cancel()


async def serve_forever(settings: Settings, console: Console) -> None:
    """Do what `anabranch serve` says.

    Raises:
        SetupFault: the address cannot be had, or the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    with listen(settings) as listener:
        url = address_of(settings.host, listener.getsockname()[1])

        async def announce(services: Services) -> None:
            await _introduce_server(services.identity, url, console)

        await host(settings, listener, announce)


async def serve_in_processes(settings: Settings, console: Console, count: int) -> None:
    """Do what `anabranch serve --workers N` says: listen here, serve in so many processes.

    They share the socket that is open here: should one die, its place among those that accept is simply empty until it is
    started again, and no connection waits in a queue that nobody reads. The database is migrated here, once; an embedded one
    runs as long as this process.

    Raises:
        SetupFault: the address cannot be had, a process cannot start as it is configured, or there are too many of them.
        DatabaseUnavailable: the database does not answer.
    """
    _check_connections(settings, count)
    configure_logs()
    with listen(settings) as listener:
        url = address_of(settings.host, listener.getsockname()[1])
        async with open_identity(settings) as identity, _temporary_folder() as counted:
            supervisor = Supervisor(
                "gql.commands.server_child",
                [str(listener.fileno())],
                environment={**_as_variables(settings, listener.getsockname()[1]), SHARED_FOLDER: counted},
                files=[listener.fileno()],
                # Requests, then nodes that are being stopped, then what is on its way to the log.
                grace_s=2 * settings.shutdown_timeout_s + settings.runs.cancel_grace_s,
                on_ended=EndedProcesses(counted).add,
            )
            with stop_signals() as stopping:
                await supervisor.run(count, stopping, partial(_introduce_server, identity, url, console))


@asynccontextmanager
async def _temporary_folder() -> AsyncGenerator[str]:
    folder = await asyncio.to_thread(TemporaryDirectory, prefix="anabranch-metrics-")
    try:
        yield folder.name
    finally:
        await asyncio.to_thread(folder.cleanup)


def _check_connections(settings: Settings, count: int) -> None:
    most = _EMBEDDED_CONNECTIONS // (settings.database.pool_size + _OWN_CONNECTIONS)
    if settings.database_url is None and count > most:
        raise SetupFault(
            f"The embedded PostgreSQL has no connections for {count} processes: start at most {most}, lower "
            "ANABRANCH_DATABASE__POOL_SIZE, or use an outside database."
        )


def _as_variables(settings: Settings, port: int) -> dict[str, str]:
    """Return the variables that tell a process what options told us; all others it reads as we did."""
    url = settings.database_url
    return {
        "ANABRANCH_HOST": settings.host,
        "ANABRANCH_PORT": str(port),
        "ANABRANCH_DATA_DIR": str(settings.data_dir.absolute()),
        "ANABRANCH_DATABASE_URL": "" if url is None else url.get_secret_value(),
        "ANABRANCH_RUNS__MAX_CONCURRENT_RUNS": str(settings.runs.max_concurrent_runs),
    }


async def _introduce_server(identity: IdentityService, url: str, console: Console) -> None:
    _print_listening(console, url)
    if not identity.is_sign_up_open and await identity.is_setup_needed():
        console.print("No account yet. This link makes the first one, once:", markup=False)
        console.print(f"{url}/#invite={identity.setup_token()}", markup=False, soft_wrap=True)


async def serve_dev(settings: Settings, console: Console) -> None:
    """Do what `anabranch dev` says: everything on loopback, an account, a link that is signed in.

    Raises:
        SetupFault: the port is taken, or the database or the model cannot be started.
    """
    with listen(settings.model_copy(update={"host": HOST})) as listener:
        port = int(listener.getsockname()[1])
        local, url = on_loopback(settings, port), address_of(HOST, port)

        async def announce(_: Services) -> None:
            pages, graphiql = await _introduce(local, url)
            _print_listening(console, url)
            console.print(f"Pages, signed in: {pages}", markup=False, soft_wrap=True, highlight=False)
            console.print(f"GraphiQL, signed in: {graphiql}", markup=False, soft_wrap=True, highlight=False)
            told = f"In another terminal: {run_example('hello')}"
            console.print(told, markup=False, soft_wrap=True, highlight=False)

        console.print(
            f"Database: embedded PostgreSQL under {local.data_dir}", markup=False, highlight=False, soft_wrap=True
        )
        try:
            async with with_model(await with_embedder(local, console), console) as complete:
                await host(complete, listener, announce)
        finally:
            await asyncio.to_thread(developer.withdraw, local.data_dir, url)


def _print_listening(console: Console, url: str) -> None:
    console.print(f"Anabranch listens on {url}; Ctrl-C stops it.", markup=False, highlight=False, soft_wrap=True)


async def _introduce(settings: Settings, url: str) -> tuple[str, str]:
    """Sign in as the developer, leave the account for other commands, and return links that are signed in."""
    async with aiohttp.ClientSession() as http:
        client = ApiClient(http, url)
        account = await developer.sign_in(client, settings.data_dir)
        await asyncio.to_thread(developer.announce, settings.data_dir, account, url)
        return await developer.signed_in_links(client, account)
