"""Anabranch in a process of its own, which a test may kill; and a plain client that hides nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from pathlib import Path

SERVE = (sys.executable, "-m", "anabranch", "serve")
_START_TIMEOUT_S = 60.0
_LISTENING = re.compile(rb"listens on http://127\.0\.0\.1:(\d+);")
_EVENTS = """
subscription Follow($id: ID!, $after: String) {
  runEvents(runId: $id, after: $after) {
    __typename cursor seq
    ... on NodeEvent { nodeKey itemIndex attempt }
    ... on NodeOutputDelta { channel text offset }
    ... on NodeSucceeded { output }
    ... on NodeFailed { error { code message attempt } }
    ... on NodeRetrying { error { code } }
    ... on RunFailed { error { code message nodeKey } }
    ... on RunSucceeded { output }
  }
}
"""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class ServerProcess:
    """`anabranch serve` on a data directory; `kill` is SIGKILL. The port that it gets it has again when it is started again."""

    data_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    command: Sequence[str] = SERVE

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start, and return when it is ready."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")},
            "ANABRANCH_DATA_DIR": str(self.data_dir),
            "ANABRANCH_PORT": str(self.port),
            **self.environment,
        }
        with self._log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(  # noqa: ASYNC220, S603 -- starting is not waiting; ours
                self.command,
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.data_dir,
            )
        async with asyncio.timeout(_START_TIMEOUT_S), aiohttp.ClientSession() as session:
            while True:
                assert self.process.poll() is None, self._log.read_text()[-2_000:]
                # What answers at the port may be another's: ours says itself where it listens.
                if listening := _LISTENING.search(self._log.read_bytes(), begin):
                    self.port = int(listening[1])
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    @property
    def _log(self) -> Path:
        return self.data_dir / "server.log"

    def kill(self) -> None:
        """Kill the process without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Let the process end by itself."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


@asynccontextmanager
async def server_process(
    data_dir: Path, environment: Mapping[str, str] | None = None, command: Sequence[str] = SERVE
) -> AsyncGenerator[ServerProcess]:
    """Serve until the block ends."""
    made = ServerProcess(data_dir, environment or {}, command=command)
    await made.start()
    try:
        yield made
    finally:
        await asyncio.to_thread(made.stop)


@dataclass
class Caller:
    """A signed-in client of the public API."""

    url: str
    session: aiohttp.ClientSession
    token: str = ""

    async def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Send a query or mutation and return its data; errors fail the test."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        body = {"query": document, "variables": variables}
        async with self.session.post(f"{self.url}/graphql", json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
        assert "errors" not in answer, answer
        return answer["data"]

    async def sign_up(self, email: str = "one@example.com") -> None:
        """Make an account and use its token."""
        data = await self.ask(
            "mutation($i: SignUpInput!) { signUp(input: $i) { accessToken userErrors { message } } }",
            i={"email": email, "password": "a long enough password"},
        )
        self.token = data["signUp"]["accessToken"]
        assert self.token, data

    async def create(self, **draft: object) -> str:
        """Make a workflow and return its id."""
        data = await self.ask(
            """mutation($i: CreateWorkflowInput!) { createWorkflow(input: $i) {
                 workflow { id isRunnable problems { code message nodeKey } }
                 userErrors { message ... on GraphProblemsError { problems { code message nodeKey } } } } }""",
            i=draft,
        )
        assert data["createWorkflow"]["workflow"], data
        assert data["createWorkflow"]["workflow"]["isRunnable"], data
        return data["createWorkflow"]["workflow"]["id"]

    async def start(self, workflow_id: str, given: object = None) -> str:
        """Start a run and return its id."""
        data = await self.ask(
            "mutation($i: StartRunInput!) { startRun(input: $i) { run { id } userErrors { message } } }",
            i={"workflowId": workflow_id, "input": given},
        )
        assert data["startRun"]["run"], data
        return data["startRun"]["run"]["id"]

    async def follow(self, run_id: str, after: str | None = None) -> AsyncGenerator[dict[str, Any]]:
        """Yield a run's events over one websocket; ends with the stream, raises when the socket breaks."""
        async with aclosing(self.subscribe(_EVENTS, id=run_id, after=after)) as answers:
            async for data in answers:
                yield data["runEvents"]

    async def subscribe(self, document: str, **variables: object) -> AsyncGenerator[dict[str, Any]]:
        """Yield a subscription's data over one websocket; ends with the stream, raises when the socket breaks."""
        async with self.session.ws_connect(f"{self.url}/graphql", protocols=["graphql-transport-ws"]) as socket_:
            await socket_.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}})
            assert (await socket_.receive_json())["type"] == "connection_ack"
            payload = {"query": document, "variables": variables}
            await socket_.send_json({"id": "1", "type": "subscribe", "payload": payload})
            async for message in socket_:
                told = message.json()
                if told["type"] == "ping":
                    await socket_.send_json({"type": "pong"})
                elif told["type"] == "next":
                    assert "errors" not in told["payload"], told
                    yield told["payload"]["data"]
                elif told["type"] == "complete":
                    return
                else:
                    raise AssertionError(told)
            raise ConnectionResetError("the socket broke")

    async def ended(self, run_id: str) -> list[dict[str, Any]]:
        """Follow a run to its end."""
        async with aclosing(self.follow(run_id)) as events:
            return [event async for event in events]


def now_ms() -> float:
    """Return a clock for spans, in ms."""
    return time.perf_counter() * 1_000
