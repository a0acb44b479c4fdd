"""`serve` and `dev`: the server in this process, and the lines that say where it listens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from gql.app import create_app, listen, server
from gql.client.session import ApiClient
from gql.commands import developer
from gql.commands.calling import run_example
from gql.commands.loopback import HOST, address_of, on_loopback, with_embedder, with_model
from gql.logs import configure_logs
from runtime.memory import tune_collector

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from rich.console import Console

    from runtime.services import Services
    from runtime.settings import Settings

    Announce: TypeAlias = Callable[[Services], Awaitable[None]]


async def host(settings: Settings, listener: socket.socket, announce: Announce) -> None:
    """Serve on the listening socket until a signal comes; `announce` runs beside the server and is stopped with it.

    Raises:
        SetupFault: the process cannot start as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    configure_logs()
    app = await asyncio.to_thread(create_app, settings)  # reads files, and takes seconds
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
            _print_listening(console, url)
            identity = services.identity
            if not identity.is_sign_up_open and await identity.is_setup_needed():
                console.print("No account yet. This link makes the first one, once:", markup=False)
                console.print(f"{url}/graphiql#invite={identity.setup_token()}", markup=False, soft_wrap=True)

        await host(settings, listener, announce)


async def serve_dev(settings: Settings, console: Console) -> None:
    """Do what `anabranch dev` says: everything on loopback, an account, a link that is signed in.

    Raises:
        SetupFault: the port is taken, or the database or the model cannot be started.
    """
    with listen(settings.model_copy(update={"host": HOST})) as listener:
        port = int(listener.getsockname()[1])
        local, url = on_loopback(settings, port), address_of(HOST, port)

        async def announce(_: Services) -> None:
            link = await _introduce(local, url)
            _print_listening(console, url)
            console.print(f"GraphiQL, signed in: {link}", markup=False, soft_wrap=True, highlight=False)
            told = f"In another terminal: {run_example('hello')}"
            console.print(told, markup=False, soft_wrap=True, highlight=False)

        console.print(f"Database: embedded PostgreSQL under {local.data_dir}", markup=False, highlight=False)
        try:
            async with with_model(await with_embedder(local, console), console) as complete:
                await host(complete, listener, announce)
        finally:
            await asyncio.to_thread(developer.withdraw, local.data_dir, url)


def _print_listening(console: Console, url: str) -> None:
    console.print(f"Anabranch listens on {url}; Ctrl-C stops it.", markup=False, highlight=False)


async def _introduce(settings: Settings, url: str) -> str:
    """Sign in as the developer, leave the account for other commands, and return a link that is signed in."""
    async with aiohttp.ClientSession() as http:
        client = ApiClient(http, url)
        account = await developer.sign_in(client, settings.data_dir)
        await asyncio.to_thread(developer.announce, settings.data_dir, account, url)
        return developer.graphiql_link(client)
