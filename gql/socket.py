"""GraphQL over websockets: the protocol `graphql-transport-ws`, without what the stock handler gets wrong."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, cast

from graphql import GraphQLError
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.types.graphql import OperationType

from domain.errors import DatabaseUnavailable
from gql.context import Context
from gql.credentials import bearer_token, sent_token
from gql.limits import refuse_long
from gql.observing import Observed, outcome_of
from gql.presenting import present, refusal
from gql.rates import REFUSED
from gql.requests import Refused
from gql.results import ending, payload
from gql.sessions import Caller, session_checks
from gql.socket_messages import ClientMessage, Closing, Complete, Init, Ping, Pong, Subscribe, read_message
from gql.sockets import SILENT
from gql.trusted import Untrusted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Mapping, Sequence

    from strawberry.asgi import ASGIWebSocketAdapter

    from domain.identity import Principal
    from gql.key_door import KeyDoor
    from gql.sockets import Sockets
    from gql.trusted import TrustedDocuments
    from runtime.settings import Settings

_log = logging.getLogger(__name__)

_CLEAN_UP_S = 5.0
"""How long a closed socket waits for its operations to end."""
_MAX_REASON_BYTES = 123


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One websocket: who is behind it, its operations, and the tasks that watch over it."""

    def __init__(self, view: Any, websocket: Any, context: Context, *args: Any, **kwargs: Any) -> None:
        super().__init__(view, websocket, context, *args, **kwargs)
        settings = cast("Settings", view.settings)
        self._limits = settings.api
        self._sockets: Sockets = view.sockets
        self._trusted: TrustedDocuments = view.trusted
        self._keys: KeyDoor = view.keys
        self._has_suggestions = settings.is_development
        self._handshake = cast("ASGIWebSocketAdapter", websocket).ws
        self._services = context.services
        self._token: str | None = None
        self._principal: Principal | None = None
        self._caller: Caller | None = None
        self._is_init_received = False
        self._is_acknowledged = False
        self._is_closing = False
        self._was_heard = True
        self._running: dict[str, asyncio.Task[None]] = {}
        self._contexts: dict[asyncio.Task[Any] | None, Context] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self) -> None:
        """Serve until either side closes."""
        self._reader = self._start(self._read(), "reader")
        self._start(self._expect_init(), "init timeout")
        try:
            await asyncio.wait({self._reader})
        finally:
            await self._clean_up()

    # ── what the client sends ──

    async def _read(self) -> None:
        try:
            async for raw in self.websocket.iter_json():
                self._was_heard = True
                await self._receive(read_message(raw))
        except Closing as closing:
            await self._close(closing.code, closing.reason)
        except (NonTextMessageReceived, NonJsonMessageReceived):
            await self._close(4400, "A message must be JSON in a text frame")
        except DatabaseUnavailable:
            await self._close(1013, "The database does not answer; try again")

    async def _receive(self, message: ClientMessage) -> None:
        match message:
            case Init(payload):
                await self._init(payload or {})
            case Ping(payload):
                await self._send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
            case Pong():
                pass
            case Subscribe():
                await self._subscribe(message)
            case Complete(id):
                running = self._running.pop(id, None)
                if running is not None:
                    self._stop(running)

    async def _init(self, payload: Mapping[str, object]) -> None:
        if self._is_init_received:
            raise Closing(4429, "Too many initialisation requests")
        self._is_init_received = True
        given = payload.get("authorization", payload.get("Authorization"))
        if given is not None and not isinstance(given, str):
            raise Closing(4400, "`authorization` must be text")
        self._token = sent_token(self._handshake) if given is None else bearer_token(given)
        try:
            self._principal = await self._keys.find_caller(self._services, self._token, self.context.address)
        except Refused as refused:
            raise Closing(1013, str(refused)) from None
        if self._principal is None and self._token is not None:
            raise Closing(4403, "Forbidden")
        self._is_acknowledged = True
        await self._send({"type": "connection_ack"})
        self._start(self._ping(), "ping")
        if self._principal is not None:
            self._handshake.scope[SILENT].end()  # one of nobody's stays counted: a network has only so many of those
            self._caller = Caller(self._services, self._token, self._principal)
            self._start(self._watch_session(self._caller, self._principal), "session")

    async def _subscribe(self, message: Subscribe) -> None:
        if not self._is_acknowledged:
            raise Closing(4401, "Unauthorized")
        if message.id in self._running:
            raise Closing(4409, f"Subscriber for {message.id} already exists")
        if self._principal is None and self._sockets.floods.closed_s(self.context.address) > 0:
            await self._send_error(message.id, [REFUSED])
            return
        limit = self._limits.max_subscriptions_per_socket
        if len(self._running) >= limit:
            full = refusal(f"At most {limit} operations at once on one websocket.", "LIMIT_EXCEEDED", limit=limit)
            await self._send_error(message.id, [full])
            return
        self._running[message.id] = self._start(self._run(message), f"operation {message.id}")

    # ── operations ──

    async def _run(self, message: Subscribe) -> None:
        # A context of its own: loaders belong to an operation, and rights are those of this moment.
        context = Context(self._services, self._principal, address=self.context.address, origin=self.context.origin)
        observed = Observed(self._services.metrics, "socket")
        observed.context, observed.outcome = context, "canceled"
        self._sockets.operation_count += 1
        try:
            if self._caller is not None:
                await self._meet(await self._caller.now())
                context.maybe_principal = self._principal
            self._contexts[asyncio.current_task()] = context
            observed.outcome = await self._execute(message, context)
        except WebSocketDisconnected:
            # The client has left in the middle: no fault, and nobody to be told.
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear that the operation has ended
            observed.outcome = "fault"
            await self._end(
                message.id, [present(GraphQLError("", original_error=error), has_suggestions=self._has_suggestions)]
            )
        finally:
            self._contexts.pop(asyncio.current_task(), None)
            self._sockets.operation_count -= 1
            self._sockets.floods.count(context)
            observed.ended()
            # The id may belong to another operation by now.
            if self._running.get(message.id) is asyncio.current_task():
                del self._running[message.id]

    async def _execute(self, message: Subscribe, context: Context) -> str:
        """Send results until the end; return how it ended."""
        try:
            query = self._trusted.text_of(message.query, message.document_id, message.extensions) or ""
        except Untrusted as untrusted:
            await self._end(message.id, [untrusted.error])
            return "refused"
        too_long = refuse_long(query, self._limits)
        if too_long is not None:
            await self._end(message.id, [too_long])
            return "refused"
        stream = await self.schema.stream(
            query,
            variable_values=message.variables,
            context_value=context,
            operation_name=message.operation_name,
            operation_extensions=message.extensions,
        )
        outcome = "ok"
        async with aclosing(stream):
            async for result in stream:
                errors = ending(result)
                if errors is not None:
                    await self._end(message.id, errors)
                    return outcome_of(errors)
                outcome = outcome_of(getattr(result, "errors", None))
                if self._running.get(message.id) is asyncio.current_task():  # else the client has completed it
                    await self._send({"id": message.id, "type": "next", "payload": payload(result)})
        await self._end(message.id, None)
        return outcome

    async def _end(self, id_: str, errors: Sequence[GraphQLError] | None) -> None:
        # First the id is free again, then the client hears of it and may reuse it at once.
        if self._running.get(id_) is not asyncio.current_task():
            return
        del self._running[id_]
        if errors is None:
            await self._send({"id": id_, "type": "complete"})
        else:
            await self._send_error(id_, errors)

    async def _send_error(self, id_: str, errors: Sequence[GraphQLError]) -> None:
        await self._send({"id": id_, "type": "error", "payload": [error.formatted for error in errors]})

    # ── watching over the socket ──

    async def _expect_init(self) -> None:
        await asyncio.sleep(self._limits.init_timeout_s)
        if not self._is_init_received:
            await self._close(4408, "Connection initialisation timeout")

    async def _ping(self) -> None:
        interval = self._limits.ping_interval_s
        while True:
            await asyncio.sleep(interval)
            if not self._was_heard:
                await self._close(4408, "No answer to a ping")
                return
            self._was_heard = False
            try:
                # A peer that does not read blocks the sending.
                async with asyncio.timeout(interval):
                    await self._send({"type": "ping"})
            except TimeoutError:
                await self._close(4408, "Nothing is read")
                return

    async def _watch_session(self, caller: Caller, principal: Principal) -> None:
        """Watch until the socket is closed: nobody may go on whom nothing watches any more."""
        try:
            await self._check_session(caller, principal)
        except WebSocketDisconnected:
            raise
        except Exception:
            await self._close(1013, "The session cannot be checked; connect again")
            raise

    async def _check_session(self, caller: Caller, principal: Principal) -> None:
        """Close when the token expires or its session ends; end the operations when the caller's rights change."""
        async with aclosing(session_checks(caller.again, principal, self._limits.session_check_s)) as checks:
            async for fresh in checks:
                await self._meet(fresh)

    async def _meet(self, fresh: Principal | None) -> None:
        if fresh is None:
            await self._close(4403, "The session has ended")
            raise WebSocketDisconnected
        # At once: what is subscribed from now on has the rights of now, however long it takes to tell of the end.
        before, self._principal = self._principal, fresh
        if before is not None and (fresh.roles, fresh.scopes) != (before.roles, before.scopes):
            await self._end_others(refusal("Your rights have changed; subscribe again.", "FORBIDDEN"))

    async def _end_others(self, error: GraphQLError) -> None:
        """End the operations that have begun; those that still wait to know their caller begin with the new rights."""
        for id_, task in list(self._running.items()):
            if task not in self._contexts:
                continue
            del self._running[id_]
            self._stop(task)
            await self._send_error(id_, [error])

    def _stop(self, task: asyncio.Task[None]) -> bool:
        """Cancel a task; a mutation that has begun goes on to its end, whatever its client does: as it does over HTTP."""
        context = self._contexts.get(task)
        if context is not None and context.operation_type is OperationType.MUTATION:
            self._sockets.mutations.add(task)
            task.add_done_callback(self._sockets.mutations.discard)
            return False
        task.cancel()
        return True

    # ── sending, closing, tasks ──

    async def _send(self, message: Mapping[str, object]) -> None:
        if self._is_closing:
            raise WebSocketDisconnected
        try:
            await self.websocket.send_json(message)
        except RuntimeError:
            # The server's way to say that a close frame has been sent already.
            raise WebSocketDisconnected from None

    async def _close(self, code: int, reason: str) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        short = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        with suppress(TimeoutError, RuntimeError, OSError):
            # A peer that does not read cannot be told.
            async with asyncio.timeout(_CLEAN_UP_S):
                await self.websocket.close(code, short)
        if asyncio.current_task() is not self._reader:
            self._reader.cancel()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(_quietly(work), name=f"websocket {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step has never begun the work.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _clean_up(self) -> None:
        self._is_closing = True
        stopped = {task for task in list(self._tasks) if self._stop(task)}
        if stopped:
            # An operation whose `finally` never ends must not keep the socket's task, nor the server, from ending.
            _, stuck = await asyncio.wait(stopped, timeout=_CLEAN_UP_S)
            for task in stuck:
                _log.warning("%s did not end within %s s of its cancellation", task.get_name(), _CLEAN_UP_S)


async def _quietly(work: Awaitable[None]) -> None:
    try:
        await work
    except WebSocketDisconnected:
        pass
    except Exception:  # noqa: BLE001 - nobody awaits these tasks, so nobody else would tell
        _log.exception("A task of a websocket failed")
