"""What GraphQL answers with when it refuses: top-level errors, user errors, problems of a graph."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from gql.client.faults import ClientFault, RequestRefused


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Edge(_Part):
    source: str
    source_port: str = "out"
    target: str


class Problem(_Part):
    """What is wrong with a graph, or at one place of a file."""

    severity: str = "ERROR"
    code: str
    message: str
    node_key: str | None = None
    edge: _Edge | None = None
    path: tuple[str, ...] = ()
    hint: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def told(self) -> str:
        """What is wrong and what to do, without the place."""
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        place = " ".join(
            part for part in (f"node {self.node_key}" if self.node_key else "", ".".join(self.path)) if part
        )
        if self.line is not None:
            place = f"line {self.line}, column {self.column}"
        return f"{place}: {self.told}" if place else self.told


class _Person(_Part):
    name: str


class UserError(_Part):
    """What the caller can correct."""

    message: str
    code: str
    path: tuple[str, ...] | None = None
    problems: tuple[Problem, ...] = ()
    changed_by: _Person | None = None

    @property
    def said(self) -> str:
        """What is wrong, and of a conflict who was first."""
        return f"{self.message} ({self.changed_by.name} was first.)" if self.changed_by else self.message


class _Extensions(_Part):
    code: str = "INTERNAL_SERVER_ERROR"
    error_id: str | None = None


class _TopLevelError(_Part):
    message: str = "The server refused the request."
    extensions: _Extensions = _Extensions()


class Answer(_Part):
    """The answer to an operation, or the payload of one `next` message."""

    data: dict[str, Any] | None = None
    errors: tuple[_TopLevelError, ...] = ()

    def checked(self) -> dict[str, Any]:
        """Return the data.

        Raises:
            RequestRefused: there are errors.
        """
        if self.errors:
            raise _refused(self.errors[0])
        return self.data or {}


_ERRORS = TypeAdapter(tuple[_TopLevelError, ...])
_USER_ERRORS = TypeAdapter(tuple[UserError, ...])
_PROBLEMS = TypeAdapter(tuple[Problem, ...])


def refusal(errors: object) -> RequestRefused:
    """Return the fault for the payload of an `error` message."""
    try:
        known = _ERRORS.validate_python(errors)
    except ValidationError:
        known = ()
    return _refused(known[0] if known else _TopLevelError())


def check_user_errors(payload: dict[str, Any]) -> None:
    """Let a mutation's payload pass when its `userErrors` are empty.

    Raises:
        RequestRefused: they are not.
    """
    try:
        errors = _USER_ERRORS.validate_python(payload.get("userErrors") or ())
    except ValidationError as error:
        raise ClientFault("The server told of errors in an unknown shape.") from error
    if not errors:
        return
    problems = [problem for error in errors for problem in error.problems]
    details = [*map(str, problems), *(error.said for error in errors[1:])]
    located = [(one.line, one.column or 1, one.told) for one in problems if one.line is not None]
    told = [(error.path or (), error.message) for error in errors]
    raise RequestRefused(errors[0].said, errors[0].code, details, located, told)


def read_problems(raw: object) -> tuple[Problem, ...]:
    """Return the problems of a workflow."""
    try:
        return _PROBLEMS.validate_python(raw or ())
    except ValidationError as error:
        raise ClientFault("The server told of problems in an unknown shape.") from error


def _refused(error: _TopLevelError) -> RequestRefused:
    known = error.extensions
    message = (
        f"{error.message} The server's log has the cause under {known.error_id}." if known.error_id else error.message
    )
    return RequestRefused(message, known.code)
