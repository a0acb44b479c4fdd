"""WAIT: nothing until a time; the run leaves memory meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from domain.errors import NodeFault
from domain.kinds import Config, ConfigProblem, ErrorCode, NodeContext, NodeKind, Output, Result
from domain.suspensions import Until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.suspensions import Due


class WaitConfig(Config):
    """A wait; output `resumedAt`. The run leaves memory and survives restarts; give exactly one field."""

    duration_ms: Annotated[int | None, Field(ge=0, le=2_147_483_647)] = None
    """How long, up to 2,147,483,647 (24 days); use `until` for more."""
    until: Annotated[str | None, Field(max_length=1_000)] = None
    """Template of an instant in RFC 3339 form."""

    @model_validator(mode="after")
    def _one_field_is_given(self) -> WaitConfig:
        if (self.duration_ms is None) == (self.until is None):
            raise ValueError("exactly one of these is set: durationMs, until")
        return self


class WaitOutput(Output):
    """When the wait was over."""

    resumed_at: str
    """The time, in RFC 3339 form and UTC."""


async def run(config: WaitConfig, ctx: NodeContext) -> Result:
    """Wait for a time; one that has passed is over at once.

    Raises:
        NodeFault: `INVALID_TIME`.
    """
    del ctx
    if config.until is not None:
        return Result(suspension=Until(_instant(config.until)))
    return Result(suspension=Until(datetime.now(UTC) + timedelta(milliseconds=config.duration_ms or 0)))


def resume(answer: Due) -> Result:
    """Tell when it was over."""
    at = answer.at.astimezone(UTC).isoformat(timespec="milliseconds")
    return Result(WaitOutput(resumed_at=at.replace("+00:00", "Z")))


def check(config: WaitConfig) -> Sequence[ConfigProblem]:
    """Find a time that is none, where it is not a template."""
    if config.until is not None and "{" not in config.until:
        try:
            _instant(config.until)
        except NodeFault as fault:
            return [ConfigProblem(("until",), "INVALID_CONFIG", fault.message)]
    return []


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    message = f"{text[:100]!r} is no instant in RFC 3339 form, such as 2026-12-24T18:00:00Z: it needs an offset or Z."
    raise NodeFault("INVALID_TIME", message)


KIND = NodeKind(
    kind="WAIT",
    name="wait",
    title="Wait",
    description="Wait for a time.",
    config=WaitConfig,
    output=WaitOutput,
    run=run,
    resume=resume,
    error_codes=(ErrorCode("INVALID_TIME", "`until` is no instant in RFC 3339 form.", is_retryable=False),),
    check=check,
    is_idempotent=True,
    is_pure=True,
)
