"""Every error that the layers raise for each other.

AnabranchError
├── UserFault                what the caller can correct: shown in `userErrors`
│   ├── InvalidInput
│   │   ├── InvalidFields    several values at once
│   │   └── DocumentFault    a workflow file that cannot be read; each problem has line and column
│   ├── NotFound
│   │   └── InvalidId
│   ├── Conflict             somebody else was first
│   ├── AlreadyExists
│   ├── InUse
│   ├── GraphHasProblems
│   ├── LimitExceeded
│   ├── OutputExpired
│   ├── Forbidden
│   ├── RateLimited
│   ├── WorkspaceRequired
│   ├── InvalidCredentials
│   ├── InvalidToken
│   └── UpstreamFailed
├── Unauthenticated          no or no valid credential
├── SignatureRefused         a call of a webhook is not signed as it must be
├── CursorInvalid, CursorExpired
├── TemplateFault            a template that does not parse or render
├── NodeFault                one attempt of a node failed
├── Fenced                   another executor owns the run now
├── StillWanted              a run may not leave memory
├── KeyTaken                 an idempotency key stands for another run by now
├── Contended                others are at the same thing: nothing is done, and a later attempt may succeed
├── DatabaseUnavailable
├── SecretUnreadable         the key is gone, or the stored bytes are another object's
└── SetupFault               the process cannot start as configured; one sentence for an operator
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.problems import Problem


class AnabranchError(Exception):
    """Something went wrong in Anabranch."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])

    @property
    def message(self) -> str:
        """What happened, for people."""
        return str(self.args[0])


class UserFault(AnabranchError):
    """The request cannot be carried out as it was made."""

    code: ClassVar[str] = "INVALID_INPUT"

    def __init__(self, message: str | None = None, *, path: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.path = list(path) if path is not None else None


class InvalidInput(UserFault):
    """A value is not acceptable."""


class InvalidFields(InvalidInput):
    """Several values are not acceptable; `faults` has each of them."""

    def __init__(self, faults: Sequence[InvalidInput]) -> None:
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{faults[0].message}{more}", path=faults[0].path)
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """What is wrong at one place of a file; lines and columns start at 1."""

    line: int
    column: int
    message: str
    hint: str | None = None
    code: str = "INVALID_VALUE"
    """Stable; of a problem of the graph its own, such as `UNKNOWN_KIND`."""

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}{f' {self.hint}' if self.hint else ''}"


class DocumentFault(InvalidInput):
    """The workflow file cannot be read."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:3]) or None, path=["input", "document"])
        self.problems = list(problems)


class NotFound(UserFault):
    """There is no such object."""

    code = "NOT_FOUND"


class InvalidId(NotFound):
    """There is no object with this id."""

    def __init__(self, *, given: str, path: Sequence[str] | None = None) -> None:
        super().__init__(f"There is no object with the id {given[:80]!r}.", path=path)


class Conflict(UserFault):
    """Somebody else changed the object first; read it again and repeat the change."""

    code = "CONFLICT"

    def __init__(
        self,
        message: str | None = None,
        *,
        path: Sequence[str] | None = None,
        current_revision: int | None = None,
        changed_by: UUID | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.current_revision = current_revision
        self.changed_by = changed_by


class AlreadyExists(UserFault):
    """The name is taken."""

    code = "ALREADY_EXISTS"


class InUse(UserFault):
    """Something still uses the object."""

    code = "IN_USE"


class GraphHasProblems(UserFault):
    """The graph has problems; `problems` lists them."""

    code = "GRAPH_PROBLEMS"

    def __init__(
        self, problems: Sequence[Problem], message: str | None = None, *, path: Sequence[str] | None = None
    ) -> None:
        super().__init__(message, path=path)
        self.problems = list(problems)


class LimitExceeded(UserFault):
    """A limit would be exceeded."""

    code = "LIMIT_EXCEEDED"

    def __init__(
        self, message: str, *, limit: float, actual: float | None = None, path: Sequence[str] | None = None
    ) -> None:
        super().__init__(message, path=path)
        self.limit = limit
        self.actual = actual


class OutputExpired(UserFault):
    """What the run recorded is no longer kept; rerun it from START."""

    code = "OUTPUT_EXPIRED"


class Forbidden(UserFault):
    """The caller may see this but not change it."""

    code = "FORBIDDEN"


class RateLimited(UserFault):
    """Too many attempts; wait a minute before the next."""

    code = "RATE_LIMITED"

    def __init__(
        self, message: str | None = None, *, path: Sequence[str] | None = None, retry_after_s: float = 60.0
    ) -> None:
        super().__init__(message, path=path)
        self.retry_after_s = retry_after_s


class WorkspaceRequired(UserFault):
    """The caller has several workspaces; say which one with `workspaceId`."""

    code = "WORKSPACE_REQUIRED"


class InvalidCredentials(UserFault):
    """Unknown account or wrong password."""

    code = "INVALID_CREDENTIALS"


class InvalidToken(UserFault):
    """The token is unknown, used or expired."""

    code = "INVALID_TOKEN"


class UpstreamFailed(UserFault):
    """An outside endpoint did not answer as it should."""

    code = "UPSTREAM_FAILED"


class Unauthenticated(AnabranchError):
    """Sign in first: no valid access token was sent."""


class SignatureRefused(AnabranchError):
    """A call of a webhook is not signed as it must be."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CursorInvalid(AnabranchError):
    """The cursor is not one that this server gave out."""


class CursorExpired(AnabranchError):
    """The events behind the cursor are no longer kept."""


class TemplateFault(AnabranchError):
    """A template does not parse or cannot be rendered."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class NodeFault(AnabranchError):
    """An attempt of a node failed."""

    def __init__(
        self, code: str, message: str, *, is_retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.is_retryable = is_retryable
        self.retry_after_s = retry_after_s


class Fenced(AnabranchError):
    """Another executor owns the run now."""


class StillWanted(AnabranchError):
    """Something was asked of the run that it has not done yet."""


class KeyTaken(AnabranchError):
    """The idempotency key stands for another run by now."""


class Contended(AnabranchError):
    """Others are at the same in this moment; try again."""


class DatabaseUnavailable(AnabranchError):
    """The database does not answer."""


class SecretUnreadable(AnabranchError):
    """A stored secret cannot be decrypted: its key is not among `ANABRANCH_ENCRYPTION_KEYS`, or it was moved."""


class SetupFault(AnabranchError):
    """The process cannot start as it is configured."""
