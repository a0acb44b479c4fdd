"""What is left when the demo is over: a server that goes on, or how to start one, and what to do with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from gql.commands import developer
from gql.commands.calling import program, run_example

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from gql.client.session import ApiClient
    from gql.commands.developer import Developer


async def keep(client: ApiClient, data_dir: Path, account: Developer, console: Console) -> None:
    """Leave the server running until a signal comes; other commands find it meanwhile."""
    await asyncio.to_thread(developer.announce, data_dir, account, client.url)
    _say(console, f"The server goes on at {client.url}; Ctrl-C stops it.")
    pages, graphiql = await developer.signed_in_links(client, account)
    _say(console, f"Pages, signed in: {pages}")
    _say(console, f"GraphiQL, signed in: {graphiql}")
    _say(console, f"Ask more, in another terminal:\n  {_ask_command()}")
    try:
        with contextlib.suppress(asyncio.CancelledError):  # that is how it is meant to end
            await asyncio.Event().wait()
    finally:
        await asyncio.to_thread(developer.withdraw, data_dir, client.url)


def tell_how_to_go_on(console: Console, run_id: str) -> None:
    """Print the next three commands."""
    _say(console, "Go on with a server, which prints links to its pages and to GraphiQL, signed in:")
    _say(console, f"  {program()} dev")
    _say(console, "and, in another terminal:")
    _say(console, f"  {_ask_command()}")
    _say(console, f"  {program()} watch {run_id}")


def _ask_command() -> str:
    return run_example("ask", "--input question='…'")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
