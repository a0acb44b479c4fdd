"""APPROVAL: a question to a person; the run goes on by the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, model_validator

from domain.errors import InvalidInput, NodeFault
from domain.identity import fold_email, is_email
from domain.kinds import (
    JSON_FIELD,
    STATIC,
    Config,
    ConfigProblem,
    ErrorCode,
    NodeContext,
    NodeKind,
    Output,
    Result,
)
from domain.problems import shown
from domain.suspensions import Question
from runtime.input_schema import compile_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.suspensions import Answered

_TIMEOUT: Final = "timeout"
_PORTS_OF_EVERY_NODE: Final = frozenset({_TIMEOUT, "error", "out"})
_DAY_MS: Final = 86_400_000
_ACTION: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"


class ApprovalConfig(Config):
    """A question to a person; output `action`, `values`, `by`, `at`. Each action is a port, and so is `timeout`."""

    title: Annotated[str, Field(min_length=1, max_length=500)]
    """Template of the question in one line."""
    message: Annotated[str | None, Field(max_length=100_000)] = None
    """Template of what the person should know, in Markdown."""
    form: Annotated[Any, JSON_FIELD, STATIC] = None
    """JSON Schema of the values that the person fills in; null = none."""
    actions: Annotated[list[Annotated[str, STATIC, Field(pattern=_ACTION)]], Field(min_length=2, max_length=10)] = (
        Field(default_factory=lambda: ["approve", "reject"])
    )
    """The possible answers, 2 to 10; `approve` and `reject` if absent."""
    timeout_ms: Annotated[int, Field(ge=1, le=2_147_483_647)] = 3 * _DAY_MS
    """How long an answer is awaited; 3 days if absent, then port `timeout` is taken."""
    assignees: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)
    """E-mail addresses of the members who may answer, 100 at most; empty = every EDITOR and above."""

    @model_validator(mode="after")
    def _actions_are_ports_of_their_own(self) -> ApprovalConfig:
        if taken := _PORTS_OF_EVERY_NODE.intersection(self.actions):
            raise ValueError(f"an action cannot be called {min(taken)!r}: that is a port already")
        if len(set(self.actions)) != len(self.actions):
            raise ValueError("two actions have the same name")
        return self


class ApprovalOutput(Output):
    """What was answered."""

    action: str
    """The action that was chosen, or `timeout`."""
    values: Any
    """The values that were filled in; null without any."""
    by: str | None
    """The e-mail address of who answered; null where nobody has."""
    at: str
    """When, in RFC 3339 form and UTC."""


async def run(config: ApprovalConfig, ctx: NodeContext) -> Result:
    """Ask.

    Raises:
        NodeFault: `INVALID_FORM`, `INVALID_ASSIGNEE`.
    """
    del ctx
    if config.form is not None:
        try:
            compile_schema(config.form)
        except InvalidInput as fault:
            raise NodeFault("INVALID_FORM", fault.message) from fault
    until = datetime.now(UTC) + timedelta(milliseconds=config.timeout_ms)
    assignees = tuple(dict.fromkeys(fold_email(address) for address in config.assignees))
    # A question to nobody would wait for its timeout.
    if unknown := [address for address in assignees if not is_email(address)]:
        raise NodeFault("INVALID_ASSIGNEE", f"`assignees` names {shown(unknown[0])}, which is no e-mail address.")
    title = " ".join(config.title.split())
    return Result(suspension=Question(title, config.message, config.form, tuple(config.actions), until, assignees))


def resume(answer: Answered) -> Result:
    """Go on by the action that was chosen."""
    action = answer.action or _TIMEOUT
    at = answer.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Result(ApprovalOutput(action=action, values=answer.values, by=answer.by, at=at), ports=(action,))


def check(config: ApprovalConfig) -> Sequence[ConfigProblem]:
    """Find a form that is no JSON Schema, and assignees who are neither addresses nor templates."""
    problems = [
        ConfigProblem(("assignees", str(place)), "INVALID_CONFIG", f"{shown(given)} is no e-mail address.")
        for place, given in enumerate(config.assignees)
        if "{" not in given and not is_email(fold_email(given))
    ]
    if config.form is not None:
        try:
            compile_schema(config.form)
        except InvalidInput as fault:
            problems.append(ConfigProblem(("form",), "INVALID_CONFIG", fault.message))
    return problems


KIND = NodeKind(
    kind="APPROVAL",
    name="approval",
    title="Approval",
    description="Ask a person.",
    config=ApprovalConfig,
    output=ApprovalOutput,
    run=run,
    resume=resume,
    error_codes=(
        ErrorCode("INVALID_FORM", "`form` is no JSON Schema.", is_retryable=False),
        ErrorCode("INVALID_ASSIGNEE", "A template of `assignees` gave no e-mail address.", is_retryable=False),
    ),
    ports=(_TIMEOUT,),
    ports_of=lambda config: tuple(config.actions),
    check=check,
    is_idempotent=True,
)
