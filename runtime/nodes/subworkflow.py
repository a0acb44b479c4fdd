"""SUBWORKFLOW: a run of another workflow, whose output is the node's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from domain.bounds import Count
from domain.errors import NodeFault
from domain.kinds import JSON_FIELD, Config, ErrorCode, NodeContext, NodeKind, OneOf, Reference, Result
from domain.run import RunStatus
from domain.versions import VersionTrack

if TYPE_CHECKING:
    from domain.run import Failure
    from domain.suspensions import SubRunEnded

_FAILED: Final = re.compile(r"The sub-run (\S+) failed(?:; in it, the sub-run (\S+) failed)?(\..*)", re.DOTALL)


class VersionChoice(OneOf):
    """A version of a workflow; exactly one field is set."""

    track: VersionTrack | None = None
    """The one that moves."""
    number: Count | None = None
    """The one that stays, by its number."""


class SubworkflowConfig(Config):
    """A run of another workflow; output: that run's output. It has its own log, and canceling goes down to it."""

    workflow: Annotated[str, Reference("workflow"), Field(min_length=1)]
    """Slug of the workflow."""
    version: VersionChoice = Field(default_factory=lambda: VersionChoice(track=VersionTrack.PUBLISHED))
    """Which version is run; the published one if absent."""
    sub_input: Annotated[Any, JSON_FIELD] = None
    """Its input; texts inside are templates."""


async def run(config: SubworkflowConfig, ctx: NodeContext) -> Result:
    """Call the workflow.

    Raises:
        NodeFault: `WORKFLOW_NOT_FOUND`, `WORKFLOW_NOT_RUNNABLE`, `INVALID_SUB_INPUT`, `TOO_MANY_RUNS`.
    """
    which = config.version.number or config.version.track or VersionTrack.PUBLISHED
    return Result(suspension=await ctx.sub_workflow(config.workflow, which, config.sub_input))


def resume(answer: SubRunEnded) -> Result:
    """Take over how the sub-run ended.

    Raises:
        NodeFault: `SUB_RUN_FAILED`, `SUB_RUN_CANCELED`.
    """
    if answer.status is RunStatus.SUCCEEDED:
        return Result(answer.output, usage=answer.usage)
    if answer.status is RunStatus.CANCELED:
        raise NodeFault("SUB_RUN_CANCELED", f"The sub-run {answer.run} was canceled.")
    raise NodeFault("SUB_RUN_FAILED", f"The sub-run {answer.run} failed{_why(answer.failure)}")


def _why(failure: Failure | None) -> str:
    """Tell the cause: of runs that call each other the deepest alone, or each would quote the whole way to it."""
    if failure is None:
        return "."
    nested = _FAILED.fullmatch(failure.message) if failure.code == "SUB_RUN_FAILED" else None
    if nested is None:
        return f". {failure.code}: {failure.message}"
    return f"; in it, the sub-run {nested[2] or nested[1]} failed{nested[3]}"


KIND = NodeKind(
    kind="SUBWORKFLOW",
    name="subworkflow",
    title="Subworkflow",
    description="Run another workflow.",
    config=SubworkflowConfig,
    output=None,
    run=run,
    resume=resume,
    error_codes=(
        ErrorCode("WORKFLOW_NOT_FOUND", "There is no such workflow or version.", is_retryable=False),
        ErrorCode("WORKFLOW_NOT_RUNNABLE", "The draft that is called has errors.", is_retryable=False),
        ErrorCode(
            "INVALID_SUB_INPUT",
            "The input does not satisfy the workflow's schema, or is too large.",
            is_retryable=False,
        ),
        ErrorCode("TOO_MANY_RUNS", "The workspace has too many runs that have not ended.", is_retryable=True),
        ErrorCode("SUB_RUN_TOO_DEEP", "Workflows call each other more than 16 deep.", is_retryable=False),
        ErrorCode("SUB_RUN_FAILED", "The sub-run failed or crashed.", is_retryable=False),
        ErrorCode("SUB_RUN_CANCELED", "The sub-run was canceled.", is_retryable=False),
    ),
    nested=(VersionChoice,),
)
