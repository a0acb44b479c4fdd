"""`POST /hooks/{token}`: calls of webhooks over HTTP, and what they are answered."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

import orjson
import structlog
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import (
    AnabranchError,
    Conflict,
    Contended,
    DatabaseUnavailable,
    InvalidFields,
    InvalidInput,
    LimitExceeded,
    NotFound,
    RateLimited,
    SignatureRefused,
    UserFault,
)
from domain.ids import Prefix, to_global
from domain.signatures import SignedHeaders
from gql.lingering import Lingering
from gql.observing import REQUEST_ID, request_id
from gql.presenting import MASKED
from gql.rates import Floods, retry_after
from gql.requests import JSON, Refused, read_body
from runtime.webhook_calls import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from starlette.requests import Request

    from domain.ids import WebhookId, WorkspaceId
    from domain.json_value import Json
    from domain.webhooks import CalledWebhook, Webhook
    from runtime.services import Services
    from runtime.settings import Settings

_log = logging.getLogger(__name__)

MAX_AT_ONCE: Final = 200
"""How many calls are taken at once: each may keep a body of the largest size in memory, and take its time to send it."""
MAX_OF_WORKSPACE: Final = 50
"""How many of them may be of one workspace."""
MAX_OF_ONE: Final = 40
"""How many of them may be of one webhook: whoever has a single URL leaves room to the others of the workspace."""
_BODY_TIMEOUT_S: Final = 5.0
_BUSY_S: Final = 2.0
_STATUS: Final[Mapping[type[AnabranchError], int]] = {
    SignatureRefused: 401,
    NotFound: 404,
    Conflict: 409,
    LimitExceeded: 413,
    InvalidInput: 422,
    RateLimited: 429,
    Contended: 503,
    DatabaseUnavailable: 503,
}


class HookEndpoint:
    """Answers calls of webhooks. Neither its log lines nor its answers hold a token."""

    def __init__(self, services: Callable[[], Services], settings: Settings) -> None:
        self._services = services
        self._max_body_bytes = settings.api.max_body_bytes
        # Not those of people: whoever goes on calling a webhook that is gone keeps nobody from signing in.
        self._floods = Floods()
        self._at_once: Counter[WebhookId] = Counter()
        self._of_workspace: Counter[WorkspaceId] = Counter()

    def route(self) -> Route:
        """Return the route."""
        return Route("/hooks/{token}", self.answer, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        """Answer a call, count it and log it."""
        begun_at, id_ = time.perf_counter(), request_id(request)
        with structlog.contextvars.bound_contextvars(request=id_):
            response = await self._answer(request)
            response.headers[REQUEST_ID] = id_
            duration_s = time.perf_counter() - begun_at
            outcome = {2: "ok", 5: "fault"}.get(response.status_code // 100, "refused")
            self._services().metrics.answered(None, "webhook", "http", outcome, duration_s)
            told = {"status": response.status_code, "duration_ms": round(1_000 * duration_s, 1)}
            _log.info("webhook call", extra={"webhook": getattr(request.state, "webhook", None), **told})
        return response

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._respond(request)
        except Refused as refused:
            code = str((refused.errors[0].extensions or {}).get("code"))
            return _refusal(refused.status, code, str(refused), refused.headers)
        except AnabranchError as fault:
            return self._fault(request, fault)
        except Exception:  # noqa: BLE001 -- whatever it is, the caller gets JSON, and nothing of it
            return _masked()

    async def _respond(self, request: Request) -> Response:
        caller = self._services().webhook_caller
        called = await self._find(request)
        request.state.webhook = to_global(Prefix.WEBHOOK, called.webhook.id)
        caller.admit(called)
        with self._place(called.webhook):
            body = await _body(request, self._max_body_bytes)
            called = await self._find(request)  # what is published by now is started, with the token and key of now
            delivery = caller.accept(called, _headers(request), request.headers.get("idempotency-key"), body)
            answered = await caller.start(called, delivery, _parsed(body))
        told = {"runId": to_global(Prefix.RUN, answered.run_id), "isExisting": answered.is_existing}
        return _json(200 if answered.is_existing else 202, told)

    async def _find(self, request: Request) -> CalledWebhook:
        called = await self._services().webhook_caller.find(request.path_params["token"])
        if called is None:
            # Whoever knows a URL is not held up by others of the network who guess.
            await self._floods.admit(_address(request))
            raise NotFound(UNKNOWN)
        return called

    @contextmanager
    def _place(self, webhook: Webhook) -> Generator[None]:
        """Keep one of the places for calls. Those of unknown tokens take none: guessing must not keep others out.

        Raises:
            Refused: there is none.
        """
        of_one, of_workspace = self._at_once[webhook.id], self._of_workspace[webhook.workspace_id]
        if of_one >= MAX_OF_ONE or of_workspace >= MAX_OF_WORKSPACE or self._at_once.total() >= MAX_AT_ONCE:
            raise Refused(503, "Too many calls of webhooks at once; try again.", "BUSY", retry_after(_BUSY_S))
        self._at_once[webhook.id] += 1
        self._of_workspace[webhook.workspace_id] += 1
        try:
            yield
        finally:
            self._at_once -= Counter([webhook.id])  # keeps no zeros
            self._of_workspace -= Counter([webhook.workspace_id])

    def _fault(self, request: Request, fault: AnabranchError) -> Response:
        status = next((status for kind, status in _STATUS.items() if isinstance(fault, kind)), None)
        if status is None:
            return _masked()
        if isinstance(fault, NotFound):
            self._floods.refused(_address(request))
        if isinstance(fault, DatabaseUnavailable):
            return _refusal(
                503, "SERVICE_UNAVAILABLE", "The database does not answer; try again.", retry_after(_BUSY_S)
            )
        if isinstance(fault, Contended):
            return _refusal(503, "BUSY", fault.message, retry_after(_BUSY_S))
        if isinstance(fault, SignatureRefused):
            return _refusal(401, fault.code, fault.message, {"WWW-Authenticate": "Webhook-Signature"})
        headers = retry_after(fault.retry_after_s) if isinstance(fault, RateLimited) else {}
        faults = fault.faults if isinstance(fault, InvalidFields) else [cast("UserFault", fault)]
        return _json(status, {"errors": [_told(one) for one in faults]}, headers)


async def _body(request: Request, limit: int) -> bytes:
    """Return the body of a call; nothing, or JSON of whatever kind.

    Raises:
        Refused: it is too large, of another kind, or compressed, ended early, or took more than 5 s.
    """
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    is_json = media == JSON or (media.startswith("application/") and media.endswith("+json"))
    if (media and not is_json) or encoding != "identity":
        told = f"The body must be {JSON}, and not compressed."
        raise Refused(415, told, "UNSUPPORTED_MEDIA_TYPE", {"Accept": JSON, "Connection": "close"})
    return await read_body(request, limit, _BODY_TIMEOUT_S)


def _headers(request: Request) -> SignedHeaders:
    given = request.headers
    return SignedHeaders(given.get("webhook-id"), given.get("webhook-timestamp"), given.get("webhook-signature"))


def _parsed(body: bytes) -> Json:
    if not body:
        return None
    try:
        return cast("Json", orjson.loads(body))
    except orjson.JSONDecodeError:
        raise Refused(400, "The body is not JSON.") from None


def _told(fault: UserFault) -> dict[str, object]:
    """Return what is said of a fault; a path leads into the body, which is the run's input."""
    told: dict[str, object] = {"code": fault.code, "message": fault.message}
    path = fault.path
    return {**told, "path": path[2:]} if path is not None and path[:2] == ["input", "input"] else told


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _refusal(status: int, code: str, message: str, headers: Mapping[str, str]) -> Response:
    return _json(status, {"errors": [{"code": code, "message": message}]}, headers)


def _masked() -> Response:
    error_id = secrets.token_hex(8)
    _log.exception("Internal error %s in a call of a webhook", error_id)
    return _json(500, {"errors": [{"code": "INTERNAL_SERVER_ERROR", "message": MASKED, "errorId": error_id}]})


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    kind = Lingering if headers and headers.get("Connection") == "close" else Response
    return kind(orjson.dumps(body), status, dict(headers or {}), JSON)
