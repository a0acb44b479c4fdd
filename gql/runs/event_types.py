"""Which GraphQL type tells of which event of the log."""

from __future__ import annotations

from domain import events as domain
from domain.events import LoggedEvent
from gql.runs.events import (
    ApprovalAnswered,
    ApprovalRequested,
    NodeCanceled,
    NodeFailed,
    NodeOutputDelta,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunCancelRequested,
    RunCrashed,
    RunEvent,
    RunFailed,
    RunPaused,
    RunQueued,
    RunRecovered,
    RunResumed,
    RunStarted,
    RunSucceeded,
    RunWaiting,
)
from gql.runs.item_events import NodeExpanded, NodeProgressed
from gql.runs.values import RunError, Usage

EVENT_TYPES: tuple[type[RunEvent], ...] = (
    RunQueued,
    RunStarted,
    RunRecovered,
    RunWaiting,
    RunPaused,
    RunResumed,
    RunCancelRequested,
    RunSucceeded,
    RunFailed,
    RunCanceled,
    RunCrashed,
    NodeStarted,
    NodeExpanded,
    NodeProgressed,
    NodeOutputDelta,
    NodeRetrying,
    NodeWaiting,
    ApprovalRequested,
    ApprovalAnswered,
    NodeSucceeded,
    NodeFailed,
    NodeSkipped,
    NodeReused,
    NodeCanceled,
)
"""Types that only the interface leads to."""


def event_of(logged: LoggedEvent) -> RunEvent:  # noqa: C901, PLR0911, PLR0912 -- one line for each type that has facts
    """Convert an event of the domain."""
    match logged.event:
        case domain.NodeOutputDelta(channel=channel, text=text, offset=offset):
            return NodeOutputDelta(logged=logged, channel=channel, text=text, offset=offset)
        case domain.NodeExpanded(item_count=count):
            return NodeExpanded(logged=logged, item_count=count)
        case domain.NodeProgressed(items_done=done, item_count=count):
            return NodeProgressed(logged=logged, items_done=done, item_count=count)
        case domain.NodeSucceeded(ports=ports, duration_ms=duration_ms, usage=usage):
            return NodeSucceeded(logged=logged, ports=list(ports), duration_ms=duration_ms, usage=Usage.of(usage))
        case domain.NodeRetrying(failure=failure, next_attempt_at=at):
            return NodeRetrying(logged=logged, error=RunError.of(failure), next_attempt_at=at)
        case domain.NodeFailed(failure=failure, ports=ports):
            return NodeFailed(logged=logged, error=RunError.of(failure), ports=list(ports))
        case domain.NodeSkipped(reason=reason):
            return NodeSkipped(logged=logged, skip_reason=reason)
        case domain.NodeCanceled(usage=usage):
            return NodeCanceled(logged=logged, usage=Usage.of(usage))
        case domain.NodeWaiting(reason=reason, until=until):
            return NodeWaiting(logged=logged, reason=reason, until=until)
        case domain.RunWaiting(until=until):
            return RunWaiting(logged=logged, until=until)
        case domain.RunRecovered(restarted=restarted, recovery_count=count):
            return RunRecovered(logged=logged, restarted_node_keys=restarted, recovery_count=count)
        case domain.RunCancelRequested(reason=reason):
            return RunCancelRequested(logged=logged, cancel_reason=reason)
        case domain.RunSucceeded(duration_ms=duration_ms, usage=usage):
            return RunSucceeded(logged=logged, duration_ms=duration_ms, usage=Usage.of(usage))
        case domain.RunFailed(failure=failure):
            return RunFailed(logged=logged, error=RunError.of(failure))
        case domain.RunCrashed(failure=failure):
            return RunCrashed(logged=logged, error=RunError.of(failure))
        case plain:
            return _PLAIN[type(plain)](logged=logged)


_PLAIN: dict[type[domain.Event], type[RunEvent]] = {
    domain.RunQueued: RunQueued,
    domain.RunStarted: RunStarted,
    domain.RunPaused: RunPaused,
    domain.RunResumed: RunResumed,
    domain.RunCanceled: RunCanceled,
    domain.NodeStarted: NodeStarted,
    domain.ApprovalRequested: ApprovalRequested,
    domain.ApprovalAnswered: ApprovalAnswered,
    domain.NodeReused: NodeReused,
}
