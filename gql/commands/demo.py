"""`demo`: a server and a model in processes of their own, and an ordinary client that runs a workflow on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from domain.errors import SetupFault
from domain.run import RunStatus
from gql.client.session import ApiClient
from gql.commands import developer
from gql.commands.loopback import HOST, Told, address_of, on_loopback, with_embedder, with_model
from gql.commands.workflow_runs import Given, prepare, print_output, read_input, start
from gql.watch import watch
from runtime.child_process import child_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.console import Console

    from gql.client.run_view import RunView
    from runtime.child_process import Child
    from runtime.settings import Settings

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 20.0


async def demo(settings: Settings, console: Console) -> int:
    """Run `examples/hello.yaml` end to end and return the exit status: 0 only if the run SUCCEEDED.

    Raises:
        SetupFault: the database, the server or the model cannot be started.
    """
    begin = time.monotonic()
    example = find_example("hello.yaml")
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        port = int(listener.getsockname()[1])
        local, url = on_loopback(settings, port), address_of(HOST, port)
        # First the process, which has much to import; it goes on when the model is there and it is told where.
        server = await stack.enter_async_context(_server(local, listener, console))
        with_vectors = await with_embedder(local, console)
        complete = await stack.enter_async_context(with_model(with_vectors, console))
        with console.status("Starting PostgreSQL and the server …"):
            server.tell(Told.of(complete, listener.fileno()).model_dump_json().encode() + b"\n")
            await asyncio.to_thread(server.wait_until_ready, _START_TIMEOUT_S)
        listener.close()  # the child has it: should it stop, connections are refused and do not wait for ever
        console.print(f"Server: {url}, with embedded PostgreSQL under {local.data_dir}", markup=False, highlight=False)
        view = await _play(url, local, example, console)
        print_output(view, console)
    _conclude(view, time.monotonic() - begin, console)
    return 0 if view.status is RunStatus.SUCCEEDED else 1


async def _play(url: str, settings: Settings, example: Path, console: Console) -> RunView:
    """Do what any client of the public API could do."""
    async with aiohttp.ClientSession() as http:
        client = ApiClient(http, url)
        account = await developer.sign_in(client, settings.data_dir)
        console.print(f"Signed in as {account.email}", markup=False, highlight=False)
        workflow = await prepare(client, str(example))
        told = f"Workflow {workflow.slug}, revision {workflow.revision} ({workflow.change})"
        console.print(told, markup=False, highlight=False)
        values = read_input(Given(), workflow.input_schema, url)
        return await watch(client, await start(client, workflow, values), console)


def find_example(name: str) -> Path:
    """Return an example's path, in the repository or as it was installed.

    Raises:
        SetupFault: it is in neither.
    """
    gql = Path(__file__).parents[1]
    for folder in (gql.parent / "examples", gql / "examples"):
        if (folder / name).is_file():
            return folder / name
    raise SetupFault(f"There is no examples/{name}; run the demo in a clone of the repository.")


def _conclude(view: RunView, seconds: float, console: Console) -> None:
    usage = view.usage
    tokens = f"{usage.input_tokens} tokens in, {usage.output_tokens} out" if usage else "no usage reported"
    console.print(
        f"\n{view.status.value} after {seconds:.1f} s in all; {tokens}, streamed in {view.delta_count} pieces.",
        style="bold green" if view.status is RunStatus.SUCCEEDED else "bold red",
        markup=False,
        highlight=False,
    )
    console.print(
        "Go on with `anabranch dev`, and in another terminal:\n"
        "  anabranch run examples/hello.yaml --watch\n"
        f"  anabranch watch {view.id}",
        markup=False,
        highlight=False,
    )


@contextlib.asynccontextmanager
async def _server(settings: Settings, listener: socket.socket, console: Console) -> AsyncGenerator[Child]:
    """Run the server in a process of its own; what it says goes into a file that a fault quotes."""
    with contextlib.ExitStack() as stack:
        child = await asyncio.to_thread(_enter, stack, settings, listener)
        try:
            yield child
        finally:
            with console.status("Stopping the server …"):
                await asyncio.to_thread(stack.close)


def _enter(stack: contextlib.ExitStack, settings: Settings, listener: socket.socket) -> Child:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log = stack.enter_context((settings.data_dir / "demo.log").open("w+b"))
    return stack.enter_context(
        child_process(
            "gql.commands.demo_server",
            name="The server",
            log=log,
            files=[listener.fileno()],
            stop_timeout_s=_STOP_TIMEOUT_S,
        )
    )
