"""What is left when the demo is over: a server that goes on, or how to start one, and what to do with it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gql.commands import developer

if TYPE_CHECKING:
    from rich.console import Console

    from gql.client.session import ApiClient
    from gql.commands.developer import Developer


async def keep(client: ApiClient, data_dir: Path, account: Developer, console: Console) -> None:
    """Leave the server running until a signal comes; other commands find it meanwhile."""
    await asyncio.to_thread(developer.announce, data_dir, account, client.url)
    _say(console, f"The server goes on at {client.url}; Ctrl-C stops it.")
    _say(console, f"GraphiQL, signed in: {developer.graphiql_link(client)}")
    _say(console, f"Ask more, in another terminal:\n  {_ask_command()}")
    try:
        with contextlib.suppress(asyncio.CancelledError):  # that is how it is meant to end
            await asyncio.Event().wait()
    finally:
        await asyncio.to_thread(developer.withdraw, data_dir, client.url)


def tell_how_to_go_on(console: Console, run_id: str) -> None:
    """Print the next three commands."""
    _say(console, "Go on:")
    _say(console, f"  {_program()} dev    # prints a link to GraphiQL, signed in; then, in another terminal:")
    _say(console, f"  {_ask_command()}")
    _say(console, f"  {_program()} watch {run_id}")


def _ask_command() -> str:
    copied = "" if Path("examples/ask.yaml").is_file() else f"{_program()} new ask && "
    return f"{copied}{_program()} run {'' if copied else 'examples/'}ask.yaml --input question='…' --watch"


def _program() -> str:
    """Return how this command is called from here."""
    if shutil.which("anabranch"):
        return "anabranch"
    installed = Path(sys.executable).with_name("anabranch")
    try:
        return str(installed.relative_to(Path.cwd()))
    except ValueError:
        return str(installed)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
