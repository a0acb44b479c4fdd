"""GraphQL over HTTP: negotiation, status codes, and an end to queries whose client has left."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from strawberry.asgi import GraphQL
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.graphql import OperationType

from domain.errors import DatabaseUnavailable
from gql.context import Context
from gql.cookies import Cookies
from gql.credentials import find_caller, sent_token
from gql.limits import refuse_long
from gql.presenting import MASKED, refusal
from gql.requests import JSON, RESPONSE_JSON, Parameters, Refused, negotiate, read_parameters
from gql.socket import SocketHandler, Sockets

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import GraphQLError
    from starlette.types import Message, Receive, Scope, Send
    from starlette.websockets import WebSocket
    from strawberry.types import ExecutionResult

    from gql.schema import Schema
    from runtime.services import Services
    from runtime.settings import Settings

_log = logging.getLogger(__name__)

_LINGER_S = 2.0
_LINGER_BYTES = 67_108_864
_CLIENT_LEFT = 499

# Statuses of answers without data in application/graphql-response+json; in application/json they are 200, as the older
# clients expect that cannot tell a GraphQL error from a proxy's.
_STATUS = {
    "INTERNAL_SERVER_ERROR": 500,
    "TIMEOUT": 503,
}


def encode_json(value: object) -> bytes:
    """Return JSON; half pairs and integers beyond 64 bits, which orjson refuses, are written by the standard library."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


class Endpoint(GraphQL[Context, None]):
    """`/graphql`, for HTTP and websockets."""

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, schema: Schema, services: Callable[[], Services], settings: Settings) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            multipart_uploads_enabled=False,
            max_subscriptions_per_connection=settings.api.max_subscriptions_per_socket,
            allowed_origins=settings.api.allowed_origins,
        )
        self.settings = settings
        self.sockets = Sockets(settings.api.max_sockets)
        self._services = services

    @property
    def services(self) -> Services:
        """The services; there are none before the application has started."""
        return self._services()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a websocket."""
        if scope["type"] == "websocket":
            await self.sockets.serve(super().__call__, scope, receive, send)
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """Return a context in which nobody is signed in; for the handler of a websocket, which signs in later."""
        _ = response
        return Context(self.services, address=request.client.host if request.client else "")

    def encode_json(self, data: object) -> str:
        """Encode a message of a websocket; text, since clients take bytes for a binary message."""
        return encode_json(data).decode()

    def decode_json(self, data: str | bytes) -> object:
        """Decode a message of a websocket."""
        return orjson.loads(data)

    async def _answer(self, request: Request) -> Response:
        if self._is_page(request):
            return RedirectResponse("/graphiql")
        try:
            media = negotiate(request.headers.get("accept"))
        except Refused as refused:
            return _refusal(refused, JSON)
        try:
            return await self._respond(request, media)
        except Refused as refused:
            return _refusal(refused, media)
        except DatabaseUnavailable:
            return _refusal(Refused(503, "The database does not answer; try again.", "SERVICE_UNAVAILABLE"), media)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets JSON, and nothing of it
            error_id = secrets.token_hex(8)
            _log.exception("Internal error %s before an operation", error_id)
            refused = Refused(500, MASKED)
            refused.errors = [refusal(MASKED, "INTERNAL_SERVER_ERROR", errorId=error_id)]
            return _refusal(refused, media)

    async def _respond(self, request: Request, media: str) -> Response:
        limits = self.settings.api
        token = sent_token(request)
        caller = await find_caller(self.services, token)
        # Nobody who is not signed in makes the server read much.
        documents_bytes = limits.max_documents_bytes if caller else 0
        parameters = await read_parameters(request, limits.max_body_bytes, documents_bytes)
        too_long = refuse_long(parameters.query, limits)
        if too_long is not None:
            return _response([too_long], None, media)
        response = Response()
        is_refused = token is not None and caller is None
        context = Context(
            self.services,
            caller,
            address=request.client.host if request.client else "",
            is_credential_refused=is_refused,
            cookies=Cookies(
                request.cookies, response, is_secure=request.url.scheme == "https" or not self.settings.is_loopback
            ),
        )
        try:
            result = await self._execute(request, parameters, context)
        except CannotGetOperationTypeError as error:
            return _response([refusal(error.as_http_error_reason(), "OPERATION_RESOLUTION_FAILURE")], None, media)
        answer = _response(result.errors, result.data, media)
        answer.raw_headers.extend(header for header in response.raw_headers if header[0] == b"set-cookie")
        if is_refused:
            answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return answer

    async def _execute(self, request: Request, parameters: Parameters, context: Context) -> ExecutionResult:
        """Execute until the end, or until the client leaves; a mutation that has begun is not torn off."""
        allowed = {OperationType.QUERY} if request.method == "GET" else {OperationType.QUERY, OperationType.MUTATION}
        running = asyncio.create_task(
            self.schema.execute(
                parameters.query,
                variable_values=parameters.variables,
                context_value=context,
                operation_name=parameters.operation_name,
                allowed_operation_types=allowed,
                operation_extensions=parameters.extensions,
            ),
            name="graphql operation",
        )
        leaving = asyncio.create_task(_until_left(request), name="graphql client")
        try:
            await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done() and context.operation_type is not OperationType.MUTATION:
                running.cancel()
                raise Refused(_CLIENT_LEFT, "The client left.")
            return await running
        except InvalidOperationTypeError as error:
            raise _wrong_operation(request.method, error.operation_type) from None
        finally:
            for task in (running, leaving):
                task.cancel()
            await asyncio.wait({running, leaving})

    def _is_page(self, request: Request) -> bool:
        """Tell whether a person opened the endpoint in a browser."""
        return (
            request.method == "GET"
            and self.settings.api.is_graphiql_enabled
            and "query" not in request.query_params
            and "text/html" in request.headers.get("accept", "")
        )


class _Lingering(Response):
    """An answer to a request whose body is not read: the connection stays open until the client has heard it.

    Closing a connection with unread data makes the kernel reset it, and the client may lose the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_open(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await super().__call__(scope, receive, send_open)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    left = _LINGER_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


async def _until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wrong_operation(method: str, operation: OperationType) -> Refused:
    if operation is OperationType.SUBSCRIPTION:
        return Refused(400, "Subscriptions need a websocket with the subprotocol graphql-transport-ws.")
    return Refused(405, f"A {operation.value} cannot be asked with {method}.", headers={"Allow": "POST"})


def _response(errors: list[GraphQLError] | None, data: dict[str, Any] | None, media: str) -> Response:
    body: dict[str, Any] = {}
    status = 200
    if errors:
        body["errors"] = [error.formatted for error in errors]
    # An answer whose errors name no field was never executed, and has no `data` at all.
    if data is not None or not errors or any(error.path is not None for error in errors):
        body["data"] = data
    elif media == RESPONSE_JSON:
        code = str((errors[0].extensions or {}).get("code"))
        status = _STATUS.get(code, 400)
    return Response(encode_json(body), status, media_type=f"{media}; charset=utf-8")


def _refusal(refused: Refused, media: str) -> Response:
    kind = _Lingering if refused.headers.get("Connection") == "close" else Response
    body = encode_json({"errors": [error.formatted for error in refused.errors]})
    return kind(body, refused.status, refused.headers, f"{media}; charset=utf-8")
