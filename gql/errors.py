"""User errors: what a caller can correct, as types of the schema and as the one table from the domain's faults to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import errors
from domain.ids import Prefix, to_global
from gql.context import Info
from gql.enums import expose
from gql.lookup import find_node
from gql.problems import GraphProblem

_MAX_PROBLEMS = 1_000
_MAX_FILE_PROBLEMS = 100
_USER: Any = LazyType[Any, Any]("User", "gql.identity")


class UserErrorCode(StrEnum):
    """Stable codes of user errors."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    IN_USE = "IN_USE"
    GRAPH_PROBLEMS = "GRAPH_PROBLEMS"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    OUTPUT_EXPIRED = "OUTPUT_EXPIRED"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    RATE_LIMITED = "RATE_LIMITED"
    FORBIDDEN = "FORBIDDEN"
    WORKSPACE_REQUIRED = "WORKSPACE_REQUIRED"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105 - a code, no password
    UPSTREAM_FAILED = "UPSTREAM_FAILED"


expose(
    UserErrorCode,
    description="Stable codes of user errors.",
    values={
        UserErrorCode.INVALID_INPUT: "A value is not acceptable; `path` says which.",
        UserErrorCode.NOT_FOUND: "No such object, or it belongs to someone else; the two are told alike.",
        UserErrorCode.CONFLICT: "The object changed since it was read, or its state does not allow this any more.",
        UserErrorCode.ALREADY_EXISTS: "The name, slug or e-mail address is taken.",
        UserErrorCode.IN_USE: "Something still uses the object.",
        UserErrorCode.GRAPH_PROBLEMS: "The graph has problems of severity ERROR.",
        UserErrorCode.LIMIT_EXCEEDED: "A limit would be exceeded.",
        UserErrorCode.OUTPUT_EXPIRED: "What an earlier run recorded is no longer kept.",
        UserErrorCode.BUDGET_EXHAUSTED: "The workspace's budget is spent.",
        UserErrorCode.RATE_LIMITED: "Too many attempts; wait before the next.",
        UserErrorCode.FORBIDDEN: "The caller's role or key may not do this.",
        UserErrorCode.WORKSPACE_REQUIRED: "The caller has several workspaces and named none.",
        UserErrorCode.INVALID_CREDENTIALS: "Unknown account or wrong password; the two are told alike.",
        UserErrorCode.INVALID_TOKEN: "An invitation, set-up or refresh token is unknown, used or expired.",
        UserErrorCode.UPSTREAM_FAILED: "An outside endpoint did not answer as it should.",
    },
)


@strawberry.interface(
    description="What the caller did wrong and can correct; new types and codes may be added, so always select "
    "`message` and `code`."
)
class UserError:
    """What the caller can correct."""

    message: str = strawberry.field(description="For people; may change.")
    code: UserErrorCode = strawberry.field(description="For programs; stable.")
    path: list[str] | None = strawberry.field(
        description="The way to the faulty argument, such as `input`, `graph`, `nodes`, `2`, `key`."
    )


@strawberry.type(description="A value that is not acceptable.")
class InvalidInputError(UserError):
    """A value that is not acceptable."""


@strawberry.type(description="An object that does not exist for this caller.")
class NotFoundError(UserError):
    """An object that does not exist for this caller."""


@strawberry.type(description="Someone else was first.")
class ConflictError(UserError):
    """Someone else was first."""

    current_revision: int | None = strawberry.field(
        description="The revision now stored, to read and try again; null when the conflict is about a state, not a "
        "revision."
    )
    changed_by_id: strawberry.Private[UUID | None]

    @strawberry.field(
        description="Who made the change that came first, if a person did.", graphql_type=cast("Any", _USER | None)
    )
    async def changed_by(self, info: Info) -> object | None:
        """Find the person, as far as the caller may see who it is."""
        return await find_node(info, to_global(Prefix.USER, self.changed_by_id)) if self.changed_by_id else None


@strawberry.type(description="A graph that can be saved but neither published nor run.")
class GraphProblemsError(UserError):
    """A graph with problems."""

    faults: strawberry.Private[list[Any]]

    @strawberry.field(description="What is wrong with the graph; at most 1,000.")
    def problems(self) -> list[GraphProblem]:
        """Convert the domain's problems."""
        return [GraphProblem.of(fault) for fault in self.faults[:_MAX_PROBLEMS]]


@strawberry.type(description="What is wrong at one place of a workflow file.")
class DocumentProblem:
    """What is wrong at one place of a workflow file."""

    line: int = strawberry.field(description="The line, from 1.")
    column: int = strawberry.field(description="The column, from 1.")
    code: str = strawberry.field(
        description="Stable code, such as `YAML_SYNTAX`, `DUPLICATE_KEY`, `UNKNOWN_FIELD` or `INVALID_VALUE`; for a fault "
        "of the graph that of the `GraphProblem`."
    )
    message: str = strawberry.field(description="For people; may change.")
    hint: str | None = strawberry.field(description="What to do about it, if that is known.")


@strawberry.type(description="A workflow file that cannot be imported.")
class DocumentProblemsError(UserError):
    """A workflow file with problems."""

    faults: strawberry.Private[list[errors.FileProblem]]

    @strawberry.field(description="What is wrong, in the order of the file; at most 100.")
    def problems(self) -> list[DocumentProblem]:
        """Convert the domain's problems."""
        return [
            DocumentProblem(line=one.line, column=one.column, code=one.code, message=one.message, hint=one.hint)
            for one in self.faults[:_MAX_FILE_PROBLEMS]
        ]


@strawberry.type(description="A limit that would be exceeded.")
class LimitError(UserError):
    """A limit that would be exceeded."""

    limit: float = strawberry.field(description="The limit, in the unit that `message` names.")
    actual: float | None = strawberry.field(description="What was asked for; null when counting stopped at the limit.")


@strawberry.type(description="Something the caller may see but not do.")
class ForbiddenError(UserError):
    """Something the caller may see but not do."""


USER_ERROR_TYPES = (
    InvalidInputError,
    NotFoundError,
    ConflictError,
    GraphProblemsError,
    DocumentProblemsError,
    LimitError,
    ForbiddenError,
)


def _conflict(fault: errors.Conflict) -> UserError:
    return ConflictError(**_shared(fault), current_revision=fault.current_revision, changed_by_id=fault.changed_by)


def _graph_problems(fault: errors.GraphHasProblems) -> UserError:
    return GraphProblemsError(**_shared(fault), faults=list(fault.problems))


def _document(fault: errors.DocumentFault) -> UserError:
    return DocumentProblemsError(**_shared(fault), faults=fault.problems)


def _limit(fault: errors.LimitExceeded) -> UserError:
    return LimitError(**_shared(fault), limit=fault.limit, actual=fault.actual)


def _shared(fault: errors.UserFault) -> dict[str, Any]:
    return {"message": fault.message, "code": UserErrorCode(fault.code), "path": fault.path}


def _plain(error: type[UserError]) -> Callable[[Any], UserError]:
    return lambda fault: error(**_shared(fault))


# Every fault that a caller can correct. What has more to say than message, code and path has a type of its own; the
# others are told by their code.
_TABLE: Mapping[type[errors.UserFault], Callable[[Any], UserError]] = {
    errors.InvalidInput: _plain(InvalidInputError),
    errors.DocumentFault: _document,
    errors.NotFound: _plain(NotFoundError),
    errors.Conflict: _conflict,
    errors.AlreadyExists: _plain(InvalidInputError),
    errors.InUse: _plain(InvalidInputError),
    errors.GraphHasProblems: _graph_problems,
    errors.LimitExceeded: _limit,
    errors.OutputExpired: _plain(InvalidInputError),
    errors.Forbidden: _plain(ForbiddenError),
    errors.RateLimited: _plain(InvalidInputError),
    errors.WorkspaceRequired: _plain(InvalidInputError),
    errors.InvalidCredentials: _plain(InvalidInputError),
    errors.InvalidToken: _plain(InvalidInputError),
    errors.UpstreamFailed: _plain(InvalidInputError),
    errors.UserFault: _plain(InvalidInputError),
}


def to_user_errors(fault: errors.UserFault) -> list[UserError]:
    """Return what the schema says of a fault of the domain, or of each of several."""
    return [to_user_error(one) for one in (fault.faults if isinstance(fault, errors.InvalidFields) else [fault])]


def to_user_error(fault: errors.UserFault) -> UserError:
    """Return what the schema says of a fault of the domain."""
    return next(_TABLE[kind](fault) for kind in type(fault).__mro__ if kind in _TABLE)
