"""Results of an operation as every transport tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strawberry.types.execution import ExecutionResult, PreExecutionError

from gql.presenting import refusal

if TYPE_CHECKING:
    from graphql import GraphQLError


def ending(result: object) -> list[GraphQLError] | None:
    """Return the errors that end an operation; None for a result that is one of its results."""
    if not isinstance(result, ExecutionResult):
        return [refusal("Incremental delivery is not possible in a stream of results.", "BAD_REQUEST")]
    errors = result.errors or []
    if isinstance(result, PreExecutionError):
        return errors
    # What a stream raises between its events has no path; a field that fails inside an event has one.
    has_failed = result.data is None and errors and all(error.path is None for error in errors)
    return errors if has_failed else None


def payload(result: Any) -> dict[str, object]:
    """Return a result as clients get it."""
    told: dict[str, object] = {"data": result.data}
    if result.errors:
        told["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        told["extensions"] = result.extensions
    return told
