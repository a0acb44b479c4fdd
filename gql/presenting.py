"""What a client is told of an error: deliberate ones as they are, the rest as "Internal error." with an id that is logged."""

from __future__ import annotations

import logging
import re
import secrets
from typing import TYPE_CHECKING

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.exceptions import MissingQueryError, StrawberryInputCoercionError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from domain.errors import AnabranchError, CursorExpired, CursorInvalid, Unauthenticated, UserFault

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

MASKED = "Internal error."
_SUGGESTION = re.compile(r"\s*Did you mean .*\Z", re.DOTALL)


class OperationTimedOut(AnabranchError):
    """The operation took too long and was stopped; ask for less, or read in pages."""


# What a class of errors is called in `extensions.code`; Apollo's words where Apollo has one.
_CODES: Mapping[type[Exception], str] = {
    Unauthenticated: "UNAUTHENTICATED",
    CursorInvalid: "CURSOR_INVALID",
    CursorExpired: "CURSOR_EXPIRED",
    GraphQLSyntaxError: "GRAPHQL_PARSE_FAILED",
    CannotGetOperationTypeError: "OPERATION_RESOLUTION_FAILURE",
    InvalidOperationTypeError: "BAD_REQUEST",
    MissingQueryError: "BAD_REQUEST",
    # A null for `Maybe[T]` that only the variable in its place brings.
    StrawberryInputCoercionError: "BAD_USER_INPUT",
    OperationTimedOut: "TIMEOUT",
}


def present(error: GraphQLError, *, has_suggestions: bool, operation_name: str | None = None) -> GraphQLError:
    """Return the error that a client gets: always with `extensions.code`, never with a secret."""
    extensions = error.extensions or {}
    given = extensions.get("code")
    if given == "GRAPHQL_VALIDATION_FAILED" and not has_suggestions:
        # A new one: validation errors are remembered with their document.
        return _same_place(error, _SUGGESTION.sub("", error.message), extensions)
    if given is not None:
        return error
    cause = _cause(error)
    code = _code(error, cause)
    if code is None:
        return _mask(error, cause, operation_name)
    message = _message(error, cause)
    if not has_suggestions and not isinstance(cause, AnabranchError):
        message = _SUGGESTION.sub("", message)
    told: dict[str, object] = {"code": code}
    if isinstance(cause, UserFault) and cause.path is not None:
        told["path"] = cause.path
    return _same_place(error, message, told)


def refusal(message: str, code: str, **extensions: object) -> GraphQLError:
    """Return an error that the transport itself has with a request."""
    return GraphQLError(message, extensions={"code": code, **extensions})


def _cause(error: GraphQLError) -> Exception | None:
    cause: Exception | None = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _message(error: GraphQLError, cause: Exception | None) -> str:
    if isinstance(cause, AnabranchError):
        return cause.message
    if isinstance(cause, StrawberryInputCoercionError) or isinstance(error, StrawberryInputCoercionError):
        return "A variable is null in a place that cannot be null: give a value, or leave the field out."
    return "The document is nested too deeply." if isinstance(cause, RecursionError) else error.message


def _code(error: GraphQLError, cause: Exception | None) -> str | None:
    if isinstance(cause, UserFault):
        return cause.code
    for kind, code in _CODES.items():
        if isinstance(cause, kind) or isinstance(error, kind):
            return code
    if error.path is None and isinstance(cause, RecursionError):
        return "GRAPHQL_PARSE_FAILED"
    if error.path is None and (cause is None or isinstance(cause, GraphQLError)):
        # Before execution, and not one of the validation's: a variable that does not fit its type.
        return "BAD_USER_INPUT"
    # graphql-core names the nodes of an argument that does not fit; what a resolver gave wrongly has none.
    if isinstance(cause, GraphQLError) and cause.nodes:
        return "BAD_USER_INPUT"
    return None


def _mask(error: GraphQLError, cause: Exception | None, operation_name: str | None) -> GraphQLError:
    error_id = secrets.token_hex(8)
    field = ".".join(str(part) for part in error.path or ())
    # Neither the document nor its variables: they may hold secrets.
    _log.error("Internal error %s in %s at %s", error_id, operation_name, field or "-", exc_info=cause or error)
    extensions = {"code": "INTERNAL_SERVER_ERROR", "errorId": error_id}
    return _same_place(error, MASKED, extensions)


def _same_place(error: GraphQLError, message: str, extensions: Mapping[str, object]) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=dict(extensions),
    )
