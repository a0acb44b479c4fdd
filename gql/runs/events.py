"""The log of a run as GraphQL types: one for each type of event. Which is which: `event_types`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import events as domain
from domain.errors import NotFound
from domain.events import LoggedEvent
from domain.ids import ApprovalId, Prefix, RunId, UserId, to_global
from domain.run import DeltaChannel, SkipReason, WaitReason
from gql.approvals.types import Approval, load_approvals
from gql.context import Info
from gql.ids import to_id
from gql.lookup import find_node
from gql.runs.payloads import NodePlace, load_event_output, load_run_output
from gql.runs.values import RunError, Usage, shown
from gql.users import User, load_users
from runtime.runs import MAX_EVENT_OUTPUT_BYTES, cursor_of

_RUN: Any = LazyType[Any, Any]("Run", "gql.runs.types")


@strawberry.interface(
    description="Something that happened in a run. New types may be added, so select the shared fields and treat unknown "
    "types as progress."
)
class RunEvent:
    """Something that happened in a run."""

    logged: strawberry.Private[LoggedEvent]

    @strawberry.field(description="Give it to `runEvents` as `after` to go on behind this event.")
    def cursor(self) -> str:
        """Return the cursor."""
        return cursor_of(self.logged.run_id, self.logged.seq)

    @strawberry.field(
        description="Its place in the run's log, from 1; grows, and has gaps only where a finished run's pieces were merged."
    )
    def seq(self) -> int:
        """Return the place in the log."""
        return self.logged.seq

    @strawberry.field(description="When it was logged.")
    def at(self) -> datetime:
        """Return the time."""
        return self.logged.at

    @strawberry.field(description="The run's id.")
    def run_id(self) -> strawberry.ID:
        """Return the run's global id."""
        return to_id(Prefix.RUN, self.logged.run_id)

    @strawberry.field(description="The run as it is now.", graphql_type=_RUN)
    async def run(self, info: Info) -> object:
        """Load the run."""
        run = await find_node(info, to_global(Prefix.RUN, self.logged.run_id))
        if run is None:
            raise NotFound("The run was deleted.")
        return run


@strawberry.interface(description="Something that happened to a node.")
class NodeEvent(RunEvent):
    """Something that happened to a node."""

    @strawberry.field(description="Key of the node.")
    def node_key(self) -> str:
        """Return the node's key."""
        return _node(self).node_key

    @strawberry.field(description="Place of the item under `forEach`, from 0; null = the node as a whole.")
    def item_index(self) -> int | None:
        """Return the item's place."""
        return _node(self).item_index

    @strawberry.field(description="The attempt, from 1; 0 where none began.")
    def attempt(self) -> int:
        """Return the attempt."""
        return _node(self).execution


@strawberry.type(description="The run was accepted; always the first event.")
class RunQueued(RunEvent):
    """The run was accepted."""


@strawberry.type(description="The run began to work.")
class RunStarted(RunEvent):
    """The run began to work."""


@strawberry.type(description="Another process took the run over; nodes that were at work begin their next attempt.")
class RunRecovered(RunEvent):
    """Another process took the run over."""

    restarted_node_keys: list[str] = strawberry.field(description="Keys of the nodes that begin again; at most 500.")
    recovery_count: int = strawberry.field(description="How many times this run was taken over.")


@strawberry.type(description="Nothing works any more until a time, an answer or a sub-run comes.")
class RunWaiting(RunEvent):
    """Nothing works any more."""

    until: datetime | None = strawberry.field(description="The next time at which something happens by itself.")


@strawberry.type
class _ByPerson(RunEvent):
    @strawberry.field(description="Who did; null for the system.")
    async def by(self, info: Info) -> User | None:
        """Load the person."""
        by: UUID | None = getattr(self.logged.event, "by", None)
        return None if by is None else await info.context.loaders.load(load_users, UserId(by))


@strawberry.type(description="A person stopped the run for a while.")
class RunPaused(_ByPerson):
    """A person stopped the run for a while."""


@strawberry.type(description="The run goes on, after a pause or a wait.")
class RunResumed(_ByPerson):
    """The run goes on."""


@strawberry.type(description="Someone asked the run to stop.")
class RunCancelRequested(_ByPerson):
    """Someone asked the run to stop."""

    cancel_reason: str | None = strawberry.field(description="Why, in that person's words.")


@strawberry.type(description="The run ended well; last event.")
class RunSucceeded(RunEvent):
    """The run ended well."""

    duration_ms: int = strawberry.field(description="From its first work to its end.")
    usage: Usage = strawberry.field(description="Tokens and money of the whole run.")

    @strawberry.field(description="What it returned; null beyond 64 KiB.")
    async def output(self, info: Info) -> JSON | None:
        """Load the output."""
        encoded = await _run_output(self, info)
        return None if encoded is None or len(encoded) > MAX_EVENT_OUTPUT_BYTES else shown(encoded)

    @strawberry.field(description="Whether `output` is too large for an event; `run.output` has it.")
    async def is_output_truncated(self, info: Info) -> bool:
        """Compare its size."""
        return len(await _run_output(self, info) or b"") > MAX_EVENT_OUTPUT_BYTES


@strawberry.type(description="The run's work failed; last event.")
class RunFailed(RunEvent):
    """The run's work failed."""

    error: RunError = strawberry.field(description="Why.")


@strawberry.type(description="The run was stopped; last event.")
class RunCanceled(RunEvent):
    """The run was stopped."""


@strawberry.type(description="The run lost its process too many times; last event.")
class RunCrashed(RunEvent):
    """The run lost its process too many times."""

    error: RunError = strawberry.field(description="Why.")


@strawberry.type(description="An attempt began.")
class NodeStarted(NodeEvent):
    """An attempt began."""


@strawberry.type(description="A piece of text that a node writes; pieces are batched.")
class NodeOutputDelta(NodeEvent):
    """A piece of text."""

    channel: DeltaChannel = strawberry.field(description="What kind of text it is.")
    text: str = strawberry.field(description="The piece.")
    offset: int = strawberry.field(
        description="Where the piece begins in the attempt's text of that channel, in UTF-16 code units as JavaScript "
        "counts; overwrite from there."
    )


@strawberry.type(description="An attempt failed and there will be another; drop the pieces of the failed one.")
class NodeRetrying(NodeEvent):
    """An attempt failed and there will be another."""

    error: RunError = strawberry.field(description="Why it failed.")
    next_attempt_at: datetime = strawberry.field(description="When the next begins.")


@strawberry.type(description="The node waits, and needs no memory meanwhile.")
class NodeWaiting(NodeEvent):
    """The node waits."""

    reason: WaitReason = strawberry.field(description="What for.")
    until: datetime | None = strawberry.field(description="When the wait ends at the latest.")

    @strawberry.field(description="The run that is awaited, if one is.", graphql_type=cast("Any", _RUN | None))
    async def sub_run(self, info: Info) -> object | None:
        """Load the run."""
        called = cast("domain.NodeWaiting", self.logged.event).sub_run
        return None if called is None else await find_node(info, to_global(Prefix.RUN, called))


@strawberry.type(description="A person is asked.")
class ApprovalRequested(NodeEvent):
    """A person is asked."""

    @strawberry.field(description="The question.")
    async def approval(self, info: Info) -> Approval:
        """Load the question."""
        return await _approval(self, info)


@strawberry.type(description="The question was answered, or it ran out.")
class ApprovalAnswered(NodeEvent):
    """The question was answered, or it ran out."""

    @strawberry.field(description="The question with its answer.")
    async def approval(self, info: Info) -> Approval:
        """Load the question."""
        return await _approval(self, info)


@strawberry.type(description="The node ended well; its output is durable.")
class NodeSucceeded(NodeEvent):
    """The node ended well."""

    ports: list[str] = strawberry.field(description="The ports whose edges are taken; at most 32.")
    duration_ms: int = strawberry.field(description="From its first attempt to its end.")
    usage: Usage = strawberry.field(description="Tokens and money.")

    @strawberry.field(description="What it returned; null beyond 64 KiB.")
    async def output(self, info: Info) -> JSON | None:
        """Load the output."""
        encoded, is_truncated = await _node_output(self, info)
        return None if is_truncated or encoded is None else shown(encoded)

    @strawberry.field(description="Whether `output` is too large for an event; `run.nodeRun(key).output` has it.")
    async def is_output_truncated(self, info: Info) -> bool:
        """Compare its size."""
        return (await _node_output(self, info))[1]


@strawberry.type(description="The node failed in all its attempts.")
class NodeFailed(NodeEvent):
    """The node failed."""

    error: RunError = strawberry.field(description="Why the last one failed.")
    ports: list[str] = strawberry.field(
        description="The ports whose edges are taken all the same: `error` under BRANCH, `out` under CONTINUE, else none; "
        "at most 32."
    )


@strawberry.type(description="The node is left out, and its edges are not taken.")
class NodeSkipped(NodeEvent):
    """The node is left out."""

    skip_reason: SkipReason = strawberry.field(description="Why.")


@strawberry.type(description="The node is not done again.")
class NodeReused(NodeEvent):
    """The node is not done again."""

    @strawberry.field(
        description="The run whose output stands, if it still exists.", graphql_type=cast("Any", _RUN | None)
    )
    async def from_run(self, info: Info) -> object | None:
        """Load the run."""
        event = self.logged.event
        if not isinstance(event, domain.NodeReused):
            return None
        return await find_node(info, to_global(Prefix.RUN, event.from_run))


@strawberry.type(description="The node was stopped, and its outside connections are closed.")
class NodeCanceled(NodeEvent):
    """The node was stopped."""

    usage: Usage = strawberry.field(description="Tokens and money until then.")


async def _approval(event: NodeEvent, info: Info) -> Approval:
    asked = cast("domain.ApprovalRequested | domain.ApprovalAnswered", event.logged.event)
    approval = await info.context.loaders.load(load_approvals, ApprovalId(asked.approval))
    if approval is None:
        raise NotFound("The question was deleted with its run.")
    return approval


def _node(event: NodeEvent) -> domain.NodeEventBase:
    node_event = event.logged.event
    if not isinstance(node_event, domain.NodeEventBase):
        raise TypeError(f"{type(node_event).__name__} is no event of a node")
    return node_event


async def _node_output(event: NodeSucceeded, info: Info) -> tuple[bytes | None, bool]:
    """Return the output and whether it is too long: from the event itself, or from the node's row."""
    logged = event.logged.event
    if isinstance(logged, domain.NodeSucceeded) and logged.output is not None:
        return logged.output, len(logged.output) > MAX_EVENT_OUTPUT_BYTES
    node = _node(event)
    payloads = await info.context.loaders.load(
        load_event_output, NodePlace(RunId(event.logged.run_id), node.node_key, node.item_index)
    )
    return payloads.output, payloads.is_truncated


async def _run_output(event: RunSucceeded, info: Info) -> bytes | None:
    logged = event.logged.event
    if isinstance(logged, domain.RunSucceeded) and logged.output is not None:
        return logged.output
    return await info.context.loaders.load(load_run_output, RunId(event.logged.run_id))
