"""`demo`: a server and a model in processes of their own, and an ordinary client that survives what is done to them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from domain.run import RunStatus
from gql.client.session import ApiClient
from gql.client.stream import Patience
from gql.commands import developer
from gql.commands.examples import find_example
from gql.commands.loopback import on_loopback, with_embedder, with_model
from gql.commands.workflow_runs import Stored, prepare, start
from gql.demo.chaos import Chaos
from gql.demo.corpus import read_library
from gql.demo.farewell import keep, tell_how_to_go_on
from gql.demo.library import read_rows, stock
from gql.demo.server import DemoServer
from gql.demo.summary import Outcome, summarize
from gql.demo.tally import Claim
from gql.watch import Onlooker, watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from rich.console import Console

    from gql.client.run_view import RunView
    from gql.demo.corpus import LibraryDocument
    from gql.demo.library import Library, Row
    from runtime.settings import Settings

QUESTION: Final = "How do I run several tasks at once and wait for all of them?"
_ANSWER_NODE = "answer"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    kills: int = 1
    is_kept: bool = False


async def run_demo(settings: Settings, console: Console, wish: Wish) -> int:
    """Run `examples/ask.yaml` end to end and return the exit status: 0 only if it SUCCEEDED and every claim holds.

    Raises:
        SetupFault: the database, the server or the model cannot be started.
    """
    begin = time.monotonic()
    example, documents = find_example("ask"), read_library()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(_serving(settings, console))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        client = ApiClient(http, server.url)
        account = await developer.sign_in(client, settings.data_dir)
        _say(console, f"Signed in as {account.email}, as any client of the API would.")
        library = await _stock(client, documents, console)
        workflow = await prepare(client, str(example))
        _say(
            console,
            f"Workflow {workflow.slug}: composed in one mutation, revision {workflow.revision} ({workflow.change}).",
        )
        outcome = await _play(client, server, workflow, library, console, wish=wish, begin=begin)
        console.print()
        console.print(summarize(outcome))
        for fault in outcome.faults:
            console.print(f"The demo failed. {fault}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        if wish.is_kept and not outcome.faults:
            await keep(client, settings.data_dir, account, console)
        else:
            tell_how_to_go_on(console, outcome.view.id)
    return 1 if outcome.faults else 0


@contextlib.asynccontextmanager
async def _serving(settings: Settings, console: Console) -> AsyncGenerator[DemoServer]:
    """Run PostgreSQL, the server and, unless one is configured, the model; the model outlives every kill of the server."""
    server = DemoServer()
    local = on_loopback(settings, server.port)
    async with contextlib.AsyncExitStack() as stack:
        # First the process, which has much to import; it goes on when the model is there and it is told where.
        stack.push_async_callback(_stop, server, console)
        await asyncio.to_thread(server.load, local)
        complete = await stack.enter_async_context(with_model(await with_embedder(local, console), console))
        with console.status("Starting PostgreSQL and the server …"):
            await asyncio.to_thread(server.serve, complete)
        _say(console, f"Server: {server.url}, with embedded PostgreSQL under {local.data_dir}")
        yield server


async def _stop(server: DemoServer, console: Console) -> None:
    with console.status("Stopping the server …"):
        await asyncio.to_thread(server.close)


async def _stock(client: ApiClient, documents: Sequence[LibraryDocument], console: Console) -> Library:
    library = await stock(client, documents, console)
    made = f"{library.embedded} vectors made" if library.embedded else "nothing had to be embedded again"
    _say(console, f"Collection: {library.stats.documents} documents in {library.stats.chunks} chunks; {made}.")
    return library


async def _play(
    client: ApiClient,
    server: DemoServer,
    workflow: Stored,
    library: Library,
    console: Console,
    *,
    wish: Wish,
    begin: float,
) -> Outcome:
    """Start the run, look on while the server is killed, then count."""
    console.print()
    async with asyncio.TaskGroup() as group:
        chaos = Chaos(server, wish.kills, group)
        run_id = await start(client, workflow, {"question": QUESTION, "server": client.url})
        onlooker = Onlooker(chaos.see, chaos.see_again, Patience(longest_s=0.5))
        view = await watch(client, run_id, console, onlooker)
    rows = await read_rows(client, library.table_id, run_id)
    claims = chaos.tally.claims(await client.read_log(run_id), wish.kills)
    if view.status is RunStatus.SUCCEEDED:
        claims += [Claim("rows", len(rows), 1), Claim("differing answers", _differing(view, rows), 0)]
    row = rows[0] if rows else None
    return Outcome(QUESTION, view, row, chaos.tally.kills, claims, time.monotonic() - begin)


def _differing(view: RunView, rows: Sequence[Row]) -> int:
    """Count the stored answers that are not what was streamed."""
    streamed = str(view.nodes[_ANSWER_NODE].text)
    stored = [view.output["answer"], *(row.values.get("answer") for row in rows)]
    return sum(text != streamed for text in stored)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)
