"""Following a run's log over one websocket after another: no gap, no duplicate, whatever breaks in between.

Source: graphql-transport-ws, the protocol of the npm package graphql-ws.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError

from gql.client import operations
from gql.client.answers import Answer, refusal
from gql.client.events import Event, RunEnded, read_event
from gql.client.faults import ClientFault, ServerUnreachable
from gql.client.session import unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from gql.client.logins import Tokens
    from gql.client.session import ApiClient

_PROTOCOL = "graphql-transport-ws"
_CONNECT_TIMEOUT_S = 10.0
_SILENCE_S = 60.0
"""The server pings every 20 s; a socket that is silent for longer than this is dead."""
_MAX_MESSAGE_BYTES = 8 * 1_048_576
_BAD_TOKEN = frozenset({4401, 4403})


class _Broken(Exception):
    """The connection ended before the run did; another one goes on behind the last event."""

    def __init__(self, reason: str, *, used: Tokens | None = None, is_token: bool = False) -> None:
        super().__init__(reason)
        self.used = used
        self.is_token = is_token


class _Message(BaseModel):
    """A message of the protocol; its payload is read where its type is known."""

    type: str
    payload: Any = None


@dataclass(slots=True)
class Patience:
    """How long to wait between connections, and when to give up; any event starts it anew."""

    first_s: float = 0.1
    longest_s: float = 5.0
    give_up_s: float = 60.0
    _next_s: float = field(init=False, default=0.0)
    _since: float | None = field(init=False, default=None)

    def restart(self) -> None:
        """Forget the failures so far."""
        self._next_s = self.first_s
        self._since = None

    async def wait(self, url: str, reason: Exception) -> None:
        """Sleep before the next connection.

        Raises:
            ServerUnreachable: nothing has come for `give_up_s`.
        """
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        if now - self._since >= self.give_up_s:
            raise unreachable(url, reason) from reason
        self._next_s = self._next_s or self.first_s
        await asyncio.sleep(self._next_s * random.uniform(0.5, 1.0))
        self._next_s = min(self._next_s * 2, self.longest_s)


async def follow(
    client: ApiClient,
    run_id: str,
    after: str | None = None,
    *,
    patience: Patience | None = None,
    on_break: Callable[[str], None] | None = None,
    on_repeat: Callable[[Event], None] = lambda _: None,
) -> AsyncGenerator[Event]:
    """Yield the run's events behind the cursor `after`, each once and in order, and end with the run.

    `on_break` is told why a connection was lost, `on_repeat` of an event that the server sent once too often. Close the generator (`contextlib.aclosing`) when leaving early.

    Raises:
        RequestRefused: no such run, or a cursor that the server does not know.
        ServerUnreachable: the server stayed away for longer than the patience.
        SignInNeeded: the session has ended.
    """
    patience = patience or Patience()
    seq, is_over = 0, False
    while True:
        try:
            async with contextlib.aclosing(_events_of_one_socket(client, run_id, after)) as events:
                async for event in events:
                    patience.restart()
                    if event.seq <= seq:
                        on_repeat(event)
                        continue
                    seq, after = event.seq, event.cursor
                    yield event
                    if isinstance(event, RunEnded):
                        return
            if is_over:
                return  # asked again after the run was known to be over: there was nothing behind the cursor
            is_over = await client.is_finished(run_id)
            if is_over:
                continue
            broken = _Broken("the server ended the stream")
        except _Broken as error:
            broken = error
        except ServerUnreachable as error:
            broken = _Broken(error.message)
        if on_break is not None:
            on_break(str(broken))
        await _recover(client, broken, patience)


async def _recover(client: ApiClient, broken: _Broken, patience: Patience) -> None:
    """Renew the token if that was the cause; wait in any case, so that nothing is ever hammered."""
    await patience.wait(client.url, broken)
    if broken.is_token:
        with contextlib.suppress(ServerUnreachable):
            await client.renew(broken.used)


async def _events_of_one_socket(client: ApiClient, run_id: str, after: str | None) -> AsyncGenerator[Event]:
    """Yield the events that one connection brings, until the server says `complete`.

    Raises:
        _Broken: the connection ended first.
        RequestRefused: the server answered with errors.
    """
    used = client.tokens
    try:
        async with client.http.ws_connect(
            client.url.replace("http", "ws", 1) + "/graphql",
            protocols=(_PROTOCOL,),
            max_msg_size=_MAX_MESSAGE_BYTES,
        ) as socket:
            await _open(socket, client, run_id, after)
            while (message := await _receive(socket, used)) is not None:
                event = await _handle(socket, message, used)
                if event is not None:
                    yield event
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _Broken(str(error) or type(error).__name__, used=used) from error


async def _open(socket: aiohttp.ClientWebSocketResponse, client: ApiClient, run_id: str, after: str | None) -> None:
    """Say who we are, wait for the server's nod, ask for the events."""
    used = client.tokens
    authorization = {"authorization": f"Bearer {used.access_token}"} if used else {}
    await _send(socket, {"type": "connection_init", "payload": authorization})
    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
        while (message := await _receive(socket, used)) is not None and message.type != "connection_ack":
            await _handle(socket, message, used)
    payload = {"query": operations.FOLLOW, "variables": {"id": run_id, "after": after}}
    await _send(socket, {"id": "1", "type": "subscribe", "payload": payload})


async def _receive(socket: aiohttp.ClientWebSocketResponse, used: Tokens | None) -> _Message | None:
    """Return the next message of the protocol; None after `complete`."""
    frame = await socket.receive(timeout=_SILENCE_S)
    if frame.type is not aiohttp.WSMsgType.TEXT:
        code = socket.close_code
        raise _Broken(f"the connection was closed ({code})", used=used, is_token=code in _BAD_TOKEN)
    try:
        message = _Message.model_validate_json(frame.data)
    except ValidationError as error:
        raise ClientFault("The stream brought something that is not a message of its protocol.") from error
    return None if message.type == "complete" else message


async def _handle(socket: aiohttp.ClientWebSocketResponse, message: _Message, used: Tokens | None) -> Event | None:
    """Return the event of a `next` message; answer pings."""
    match message.type:
        case "next":
            return read_event(Answer.model_validate(message.payload or {}).checked().get("runEvents"))
        case "error":
            refused = refusal(message.payload)
            if refused.code == "UNAUTHENTICATED":
                raise _Broken(refused.message, used=used, is_token=True)
            raise refused
        case "ping":
            await _send(socket, {"type": "pong", "payload": message.payload})
        case _:
            pass
    return None


async def _send(socket: aiohttp.ClientWebSocketResponse, message: Mapping[str, Any]) -> None:
    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
        await socket.send_str(orjson.dumps(message).decode())
