"""GraphQL over HTTP: negotiation, status codes, and an end to queries whose client has left."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from strawberry.asgi import GraphQL
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from domain.errors import DatabaseUnavailable
from gql.context import Context
from gql.cookies import Cookies
from gql.credentials import sent_token
from gql.headers import origin_of
from gql.key_door import KeyDoor
from gql.limits import refuse_long
from gql.lingering import Lingering
from gql.observing import REQUEST_ID, Observed, outcome_of, request_id
from gql.presenting import MASKED, refusal
from gql.rates import Floods, retry_after
from gql.requests import (
    INVALID_TOKEN,
    JSON,
    RESPONSE_JSON,
    Accepted,
    Parameters,
    Refused,
    negotiate,
    read_parameters,
)
from gql.socket import SocketHandler
from gql.sockets import Sockets
from gql.stream_formats import encode_json
from gql.streams import Streams
from gql.trusted import TrustedDocuments, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send
    from starlette.websockets import WebSocket

    from gql.schema import Schema
    from runtime.services import Services
    from runtime.settings import Settings

_log = logging.getLogger(__name__)

_CLIENT_LEFT = 499

# Statuses of answers without data in application/graphql-response+json; in application/json they are 200, as the older
# clients expect that cannot tell a GraphQL error from a proxy's.
_STATUS = {
    "FORBIDDEN": 403,
    "INTERNAL_SERVER_ERROR": 500,
    "TIMEOUT": 503,
    "RATE_LIMITED": 429,
}


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
        self.floods = Floods()
        self.keys = KeyDoor()
        self.sockets = Sockets(settings.api.max_sockets, self.floods)
        self.trusted = TrustedDocuments({}, is_only=True)
        """What may be executed; read when the application starts."""
        self._streams = Streams(schema, self.sockets, settings)
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
        id_ = request_id(request)
        with structlog.contextvars.bound_contextvars(request=id_):
            response = await self._answer(request)
            response.headers[REQUEST_ID] = id_
            await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """Return a context in which nobody is signed in; for the handler of a websocket, which signs in later."""
        _ = response
        address = request.client.host if request.client else ""
        return Context(self.services, address=address, origin=origin_of(request))

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
            accepted = negotiate(request.headers.get("accept"))
        except Refused as refused:
            return _refusal(refused, JSON)
        media = accepted.json or JSON
        observed = Observed(self.services.metrics, "http")
        try:
            return await self._respond(request, accepted, observed)
        except Refused as refused:
            observed.outcome = "canceled" if refused.status == _CLIENT_LEFT else "refused"
            return _refusal(refused, media)
        except DatabaseUnavailable:
            observed.outcome = "fault"
            return _refusal(Refused(503, "The database does not answer; try again.", "SERVICE_UNAVAILABLE"), media)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets JSON, and nothing of it
            observed.outcome = "fault"
            error_id = secrets.token_hex(8)
            _log.exception("Internal error %s before an operation", error_id)
            refused = Refused(500, MASKED)
            refused.errors = [refusal(MASKED, "INTERNAL_SERVER_ERROR", errorId=error_id)]
            return _refusal(refused, media)
        finally:
            if not observed.goes_on:
                observed.ended()

    async def _respond(self, request: Request, accepted: Accepted, observed: Observed) -> Response:
        limits = self.settings.api
        token = sent_token(request)
        address = request.client.host if request.client else ""
        caller = await self.keys.find_caller(self.services, token, address)
        if caller is None:
            await self.floods.admit(address)
        # Nobody who is not signed in makes the server read much.
        documents_bytes = limits.max_documents_bytes if caller else 0
        try:
            parameters = await read_parameters(request, self.trusted, limits.max_body_bytes, documents_bytes)
        except Untrusted as untrusted:
            return _response(ExecutionResult(None, [untrusted.error]), accepted)
        too_long = refuse_long(parameters.query, limits)
        if too_long is not None:
            return _response(ExecutionResult(None, [too_long]), accepted)
        response = Response()
        is_refused = token is not None and caller is None
        observed.context = context = Context(
            self.services,
            caller,
            address=address,
            origin=origin_of(request),
            is_credential_refused=is_refused,
            cookies=Cookies(
                request.cookies, response, is_secure=request.url.scheme == "https" or not self.settings.is_loopback
            ),
        )
        try:
            result = await self._execute(request, parameters, context)
        except CannotGetOperationTypeError as error:
            told = refusal(error.as_http_error_reason(), "OPERATION_RESOLUTION_FAILURE")
            return _response(ExecutionResult(None, [told]), accepted)
        except InvalidOperationTypeError as error:
            if error.operation_type is not OperationType.SUBSCRIPTION or request.method == "GET":
                raise _wrong_operation(request.method, error.operation_type) from None
            return await self._streams.open(request, parameters, accepted, context, observed)
        observed.outcome = outcome_of(result.errors)
        answer = _response(result, accepted)
        answer.raw_headers.extend(header for header in response.raw_headers if header[0] == b"set-cookie")
        if context.retry_after_s is not None:
            answer.headers.update(retry_after(context.retry_after_s))
            self.floods.count(context)
        if is_refused:
            answer.headers.update(INVALID_TOKEN)
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
        finally:
            for task in (running, leaving):
                task.cancel()
            await asyncio.wait({running, leaving})

    def _is_page(self, request: Request) -> bool:
        """Tell whether a person opened the endpoint in a browser."""
        return (
            request.method == "GET"
            and self.settings.api.is_graphiql_enabled
            and not {"query", "documentId", "extensions"} & set(request.query_params)
            and "text/html" in request.headers.get("accept", "")
        )


async def _until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wrong_operation(method: str, operation: OperationType) -> Refused:
    return Refused(405, f"A {operation.value} cannot be asked with {method}.", headers={"Allow": "POST"})


def _response(result: ExecutionResult, accepted: Accepted) -> Response:
    body: dict[str, Any] = {}
    status = 200
    errors, data = result.errors, result.data
    if errors:
        body["errors"] = [error.formatted for error in errors]
    # An answer whose errors name no field was never executed, and has no `data` at all.
    if data is not None or not errors or any(error.path is not None for error in errors):
        body["data"] = data
    elif accepted.json == RESPONSE_JSON:
        code = str((errors[0].extensions or {}).get("code"))
        status = _STATUS.get(code, 400)
    if result.extensions:
        body["extensions"] = result.extensions
    if accepted.json is None and (format_ := accepted.stream) is not None:
        # A client that reads nothing but streams gets one of a single result.
        whole = format_.opening + format_.result(body) + format_.complete
        return Response(whole, media_type=format_.content_type)
    return Response(encode_json(body), status, media_type=f"{accepted.json}; charset=utf-8")


def _refusal(refused: Refused, media: str) -> Response:
    kind = Lingering if refused.headers.get("Connection") == "close" else Response
    body = encode_json({"errors": [error.formatted for error in refused.errors]})
    return kind(body, refused.status, refused.headers, f"{media}; charset=utf-8")
