"""Subscriptions over HTTP, for clients without websockets: as bounded, watched and counted as those."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from graphql import GraphQLError
from starlette.responses import Response
from strawberry.http.websocket_origin import is_same_origin, normalize_allowed_origins, normalize_origin

from gql.credentials import find_caller, sent_token
from gql.observing import outcome_of
from gql.presenting import MASKED, present, refusal
from gql.requests import INVALID_TOKEN, Refused
from gql.results import ending, payload
from gql.sessions import session_checks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from domain.identity import Principal
    from gql.context import Context
    from gql.observing import Observed
    from gql.requests import Accepted, Parameters
    from gql.schema import Schema
    from gql.sockets import Place, Sockets
    from gql.stream_formats import StreamFormat
    from runtime.settings import Settings

_log = logging.getLogger(__name__)

_CLEAN_UP_S = 5.0
"""How long an ended stream waits for its operation to end."""
_NO_STREAM = (
    "Subscriptions need a websocket with the subprotocol graphql-transport-ws, or text/event-stream or "
    "multipart/mixed;subscriptionSpec=1.0 in `Accept`."
)


class Broken(Exception):
    """The server ends a stream before the operation has ended."""

    def __init__(self, error: GraphQLError | None, *, is_final: bool = True) -> None:
        super().__init__(error)
        self.error = error
        """What the client is told, if it can be told anything."""
        self.is_final = is_final
        """Whether coming again would be of no use."""


class Streams:
    """Opens streams, under the conditions of a websocket."""

    def __init__(self, schema: Schema, sockets: Sockets, settings: Settings) -> None:
        self.sockets = sockets
        self.settings = settings
        self._schema = schema
        self._allowed_origins = normalize_allowed_origins(settings.api.allowed_origins)

    async def open(
        self, request: Request, parameters: Parameters, accepted: Accepted, context: Context, observed: Observed
    ) -> Stream:
        """Return the answer to a subscription.

        Raises:
            Refused: the client reads no stream, is a page of another site or nobody any more, or there is no place, or
                none for its network.
        """
        if accepted.stream is None:
            raise Refused(400, _NO_STREAM)
        if not self._is_origin_allowed(request):
            raise Refused(403, "Pages of this origin may not subscribe.", "FORBIDDEN")
        if context.is_credential_refused:
            raise Refused(401, "The access token is not valid or no longer.", "UNAUTHENTICATED", INVALID_TOKEN)
        place = await self.sockets.admit(context.address, is_signed_in=context.maybe_principal is not None)
        try:
            results = await self._schema.stream(
                parameters.query,
                variable_values=parameters.variables,
                context_value=context,
                operation_name=parameters.operation_name,
                operation_extensions=parameters.extensions,
            )
        except BaseException:
            place.end()
            raise
        token = sent_token(request)
        return Stream(self, accepted.stream, results, place, context=context, token=token, observed=observed)

    def _is_origin_allowed(self, request: Request) -> bool:
        """Tell whether a page may read; a preflight alone would leave the decision to the browser."""
        origin = request.headers.get("origin")
        if origin is None or request.headers.get("sec-fetch-site") == "same-origin":
            return True
        is_own = is_same_origin(origin, request.headers.get("host"))
        return is_own or "*" in self._allowed_origins or normalize_origin(origin) in self._allowed_origins


class Stream(Response):
    """The answer to a subscription: its results, until it ends, the client leaves or the session does."""

    def __init__(
        self,
        streams: Streams,
        format_: StreamFormat,
        results: AsyncGenerator[object],
        place: Place,
        *,
        context: Context,
        token: str | None,
        observed: Observed,
    ) -> None:
        # Without the last header, a proxy such as nginx would collect results before it passes them on.
        super().__init__(media_type=format_.content_type, headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._sockets = streams.sockets
        self._limits = streams.settings.api
        self._has_suggestions = streams.settings.is_development
        self._format = format_
        self._results = results
        self._place = place
        self._context = context
        self._token = token
        self._observed = observed
        observed.transport, observed.goes_on, observed.outcome = format_.name, True, "canceled"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream to its end."""
        _ = scope
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send(send, self._format.opening)
            await self._serve(receive, send)
        finally:
            self._place.end()
            self._observed.ended()

    async def _serve(self, receive: Receive, send: Send) -> None:
        running = _start(self._run(send), "operation")
        tasks = {
            running,
            _start(_left(receive), "client"),
            _start(self._beat(send), "heartbeat"),
            _start(self._stopped(), "stop"),
        }
        if self._context.maybe_principal is not None:
            tasks.add(_start(self._watch_session(self._context.maybe_principal), "session"))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            broken = next((_broken(task) for task in tasks - {running} if task.done()), None)
        finally:
            await _end(tasks)
        last = self._format.complete
        if not running.done() or running.cancelled():
            error = broken.error if broken is not None else None
            last = b"" if broken is None or error is None else self._format.broken(error, is_final=broken.is_final)
        try:
            async with asyncio.timeout(_CLEAN_UP_S):
                await send({"type": "http.response.body", "body": last, "more_body": False})
        except TimeoutError:
            # It reads nothing; returning makes the server close the connection.
            _log.info("A client of a stream reads nothing and is left")

    async def _run(self, send: Send) -> None:
        """Send results until the operation ends, however it does."""
        try:
            async with aclosing(self._results) as results:
                async for result in results:
                    errors = ending(result)
                    if errors is not None:
                        self._observed.outcome = outcome_of(errors)
                        await self._send_errors(send, errors)
                        return
                    self._observed.outcome = outcome_of(getattr(result, "errors", None))
                    await _send(send, self._format.result(payload(result)))
            if self._observed.outcome == "canceled":
                self._observed.outcome = "ok"
        except asyncio.CancelledError:
            self._observed.outcome = "canceled"
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear that the operation has ended
            self._observed.outcome = "fault"
            told = present(GraphQLError("", original_error=error), has_suggestions=self._has_suggestions)
            await self._send_errors(send, [told])

    async def _send_errors(self, send: Send, errors: list[GraphQLError]) -> None:
        await _send(send, self._format.result({"errors": [error.formatted for error in errors]}))

    # ── watching over the stream: each of these ends it by raising ──

    async def _beat(self, send: Send) -> None:
        """Keep proxies from closing a silent connection, and find out who does not read."""
        while True:
            await asyncio.sleep(self._limits.heartbeat_interval_s)
            try:
                async with asyncio.timeout(self._limits.ping_interval_s):
                    await _send(send, self._format.heartbeat)
            except TimeoutError:
                raise Broken(None) from None

    async def _watch_session(self, principal: Principal) -> None:
        every_s = self._limits.session_check_s
        find = partial(find_caller, self._context.services, self._token)
        async with aclosing(session_checks(find, principal, every_s)) as checks:
            async for fresh in checks:
                if fresh is None:
                    raise Broken(refusal("The session has ended.", "UNAUTHENTICATED"))
                if (fresh.roles, fresh.scopes) != (principal.roles, principal.scopes):
                    raise Broken(refusal("Your rights have changed; subscribe again.", "FORBIDDEN"))

    async def _stopped(self) -> None:
        await self._sockets.stopping.wait()
        raise Broken(refusal("The server stops; subscribe again.", "SERVICE_UNAVAILABLE"), is_final=False)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Broken(None)


def _start(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=f"stream {name}")


def _broken(task: asyncio.Task[None]) -> Broken:
    """Return why a task that watches has ended the stream."""
    error = task.exception()
    if isinstance(error, Broken):
        return error
    _log.error("A task of a stream failed", exc_info=error)
    return Broken(refusal(MASKED, "INTERNAL_SERVER_ERROR"))


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    # An operation whose `finally` never ends must not keep the connection, nor the server, from ending.
    _, stuck = await asyncio.wait(tasks, timeout=_CLEAN_UP_S)
    for task in stuck:
        _log.warning("%s did not end within %s s of its cancellation", task.get_name(), _CLEAN_UP_S)
    for task in tasks - stuck:
        # Several may have ended at once; one of them is told, and the others are no errors that nobody looked at.
        if not task.cancelled():
            task.exception()
