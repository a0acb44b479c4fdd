"""What is counted and logged of an operation: its name, its type, how it ended and how long it took, and nothing it says."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import GraphQLError
    from starlette.requests import HTTPConnection

    from gql.context import Context
    from runtime.metrics import Metrics

REQUEST_ID: Final = "X-Request-Id"
_MAX_NAME: Final = 100
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = logging.getLogger(__name__)


def request_id(connection: HTTPConnection) -> str:
    """Return the id that a proxy or client has given a request, if it can stand in a log; else a new one."""
    given = connection.headers.get(REQUEST_ID, "")
    return given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)


class Observed:
    """One operation, from its arrival on; `ended` is called once."""

    def __init__(self, metrics: Metrics, transport: str) -> None:
        self._metrics = metrics
        self.transport = transport
        self._begun_at = time.perf_counter()
        self.context: Context | None = None
        """Its surroundings, once it is read."""
        self.goes_on = False
        """Whether the answer is a stream, which tells itself when it has ended."""
        self.outcome = "refused"
        """`ok`, `error` (the caller's), `fault` (ours), `canceled`, or `refused` (before it was executed)."""

    def ended(self) -> None:
        """Count and log the operation."""
        duration_s = time.perf_counter() - self._begun_at
        context = self.context
        kind = None if context is None or context.operation_type is None else context.operation_type.value
        name = None if context is None or context.operation_name is None else context.operation_name[:_MAX_NAME]
        counted = name if context is not None and context.maybe_principal is not None else None
        measured = None if kind == "subscription" else duration_s
        # Names that anybody may invent would fill the place of those that matter.
        self._metrics.answered(counted, kind or "unknown", self.transport, self.outcome, measured)
        told = {
            "operation": name,
            "type": kind or "unknown",
            "transport": self.transport,
            "outcome": self.outcome,
            "duration_ms": round(1_000 * duration_s, 1),
        }
        _log.info("operation", extra=told)


def outcome_of(errors: Sequence[GraphQLError] | None) -> str:
    """Return how an operation has ended that was executed or refused by the schema."""
    if not errors:
        return "ok"
    codes = {str((error.extensions or {}).get("code")) for error in errors}
    return "fault" if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"} else "error"
