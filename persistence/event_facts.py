"""The facts of an event as JSON, and back: what stands in `run_events.data` beside the row's own columns."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from domain.events import (
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    NodeCanceled,
    NodeExpanded,
    NodeFailed,
    NodeOutputDelta,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunCancelRequested,
    RunCrashed,
    RunFailed,
    RunPaused,
    RunQueued,
    RunRecovered,
    RunResumed,
    RunStarted,
    RunSucceeded,
    RunWaiting,
)
from domain.ids import ApprovalId, RunId
from domain.run import NO_USAGE, DeltaChannel, Failure, NodeWait, SkipReason, Usage, WaitReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def facts(event: Event) -> str | None:  # noqa: C901, PLR0911, PLR0912 -- one line for each type that has facts
    """Return the event's facts as JSON, None where its columns say everything."""
    match event:
        case NodeSucceeded():
            return _succeeded(event)
        case NodeOutputDelta():
            return _dump({"channel": event.channel, "text": event.text, "offset": event.offset})
        case NodeRetrying():
            return _ended(event.usage, failure=_failure(event.failure), nextAttemptAt=event.next_attempt_at)
        case NodeFailed():
            return _ended(event.usage, failure=_failure(event.failure), ports=event.ports)
        case NodeWaiting():
            return _ended(
                event.usage, reason=event.reason, until=event.until, approval=event.approval, subRun=event.sub_run
            )
        case ApprovalRequested():
            return _dump({"approval": event.approval})
        case ApprovalAnswered():
            return _dump({"approval": event.approval, "action": event.action, "by": event.by})
        case NodeExpanded():
            return _dump({"itemCount": event.item_count})
        case NodeProgressed():
            return _dump({"itemsDone": event.items_done, "itemCount": event.item_count})
        case NodeSkipped():
            return _dump({"reason": event.reason})
        case NodeReused():
            failure = None if event.failure is None else _failure(event.failure)
            return _dump({"fromRun": str(event.from_run), "ports": event.ports, "failure": failure})
        case RunRecovered():
            return _dump({"count": event.recovery_count, "restarted": event.restarted})
        case RunWaiting():
            return _dump({"count": event.count, "until": event.until})
        case RunPaused() | RunResumed():
            return _dump({"count": event.count, "by": event.by})
        case RunCancelRequested():
            return _dump({"by": event.by, "reason": event.reason})
        case RunSucceeded():
            return _ended(event.usage, durationMs=event.duration_ms)
        case RunFailed() | RunCrashed():
            return _ended(event.usage, failure=_failure(event.failure))
        case NodeCanceled() | RunCanceled():
            return _ended(event.usage)
        case _:
            return None


def failure_text(failure: Failure) -> str:
    """Return a failure as JSON."""
    return orjson.dumps(_failure(failure)).decode()


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "code": failure.code,
        "message": failure.message,
        "isRetryable": failure.is_retryable,
        "nodeKey": failure.node_key,
        "itemIndex": failure.item_index,
        "attempt": failure.attempt,
    }


def usage_facts(usage: Usage) -> list[int | str | None] | None:
    """Return tokens, and where a price is known the exact cost as text and its currency; None for no usage.

    A sum of different currencies has no cost, and the currency `MIXED_CURRENCY`.
    """
    if usage is NO_USAGE:
        return None
    counts: list[int | str | None] = [usage.input_tokens, usage.output_tokens, usage.total_tokens]
    if usage.currency is not None:
        counts += [None if usage.cost is None else format(usage.cost, "f"), usage.currency]
    return counts


def _dump(value: dict[str, object]) -> str:
    # The driver's own UUIDs are a subclass, which orjson leaves to `default`.
    return orjson.dumps({key: part for key, part in value.items() if part is not None}, default=str).decode()


def _succeeded(event: NodeSucceeded) -> str:
    if event.ports == ("out",) and event.usage is NO_USAGE:
        return f'{{"durationMs":{event.duration_ms}}}'
    return _dump({"durationMs": event.duration_ms, "ports": event.ports, "usage": usage_facts(event.usage)})


def _ended(usage: Usage, **others: object) -> str:
    return _dump({**others, "usage": usage_facts(usage)})


# ── back ──


def read_failure(text: str | None) -> Failure | None:
    """Return the failure of a JSON column."""
    return None if text is None else _read_failure(orjson.loads(text))


def _read_failure(value: Mapping[str, Any]) -> Failure:
    return Failure(
        value["code"], value["message"], value["isRetryable"], value["nodeKey"], value["itemIndex"], value["attempt"]
    )


def _read_usage(data: Mapping[str, Any]) -> Usage:
    counts = data.get("usage")
    if counts is None:
        return NO_USAGE
    sent, received, total, *paid = counts
    if not paid:
        return Usage(sent, received, total)
    cost, currency = paid
    return Usage(sent, received, total, None if cost is None else Decimal(cost), currency)


def _read_id(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)


def read_time(value: str | None) -> datetime | None:
    """Return a time of an event's facts."""
    return None if value is None else datetime.fromisoformat(value)


def read_wait(data: str | None) -> NodeWait | None:
    """Return what a node waits for, by the facts of its NodeWaiting."""
    if data is None:
        return None
    facts_ = orjson.loads(data)
    approval, sub_run = _read_id(facts_.get("approval")), _read_id(facts_.get("subRun"))
    return NodeWait(
        WaitReason(facts_["reason"]),
        read_time(facts_.get("until")),
        None if approval is None else ApprovalId(approval),
        None if sub_run is None else RunId(sub_run),
    )


def read_event(
    type_name: str, node_key: str | None, item_index: int | None, execution: int | None, data: str | None
) -> Event:
    """Return the event of a row, without its payloads.

    Raises:
        KeyError: a type that this version does not know.
    """
    facts_: Mapping[str, Any] = {} if data is None else orjson.loads(data)
    if node_key is None:
        return _RUN_READERS[type_name](facts_)
    return _NODE_READERS[type_name]((node_key, item_index, execution or 0), facts_)


_Place = tuple[str, int | None, int]

_RUN_READERS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "RunQueued": lambda _: RunQueued(),
    "RunStarted": lambda _: RunStarted(),
    "RunRecovered": lambda d: RunRecovered(d["count"], d["restarted"]),
    "RunWaiting": lambda d: RunWaiting(d["count"], read_time(d.get("until"))),
    "RunPaused": lambda d: RunPaused(d["count"], _read_id(d.get("by"))),
    "RunResumed": lambda d: RunResumed(d["count"], _read_id(d.get("by"))),
    "RunCancelRequested": lambda d: RunCancelRequested(_read_id(d.get("by")), d.get("reason")),
    "RunSucceeded": lambda d: RunSucceeded(d["durationMs"], _read_usage(d)),
    "RunFailed": lambda d: RunFailed(_read_failure(d["failure"]), _read_usage(d)),
    "RunCanceled": lambda d: RunCanceled(_read_usage(d)),
    "RunCrashed": lambda d: RunCrashed(_read_failure(d["failure"]), _read_usage(d)),
}

_NODE_READERS: dict[str, Callable[[_Place, Mapping[str, Any]], Event]] = {
    "NodeStarted": lambda p, _: NodeStarted(*p),
    "NodeExpanded": lambda p, d: NodeExpanded(*p, d["itemCount"]),
    "NodeProgressed": lambda p, d: NodeProgressed(*p, d["itemsDone"], d["itemCount"]),
    "NodeOutputDelta": lambda p, d: NodeOutputDelta(*p, DeltaChannel(d["channel"]), d["text"], d["offset"]),
    "NodeRetrying": lambda p, d: NodeRetrying(
        *p, _read_failure(d["failure"]), datetime.fromisoformat(d["nextAttemptAt"]), usage=_read_usage(d)
    ),
    "NodeWaiting": lambda p, d: NodeWaiting(
        *p,
        WaitReason(d["reason"]),
        read_time(d.get("until")),
        _read_id(d.get("approval")),
        _read_id(d.get("subRun")),
        usage=_read_usage(d),
    ),
    "ApprovalRequested": lambda p, d: ApprovalRequested(*p, UUID(d["approval"])),
    "ApprovalAnswered": lambda p, d: ApprovalAnswered(*p, UUID(d["approval"]), d.get("action"), _read_id(d.get("by"))),
    "NodeSucceeded": lambda p, d: NodeSucceeded(*p, tuple(d.get("ports", ("out",))), d["durationMs"], _read_usage(d)),
    "NodeFailed": lambda p, d: NodeFailed(*p, _read_failure(d["failure"]), tuple(d["ports"]), usage=_read_usage(d)),
    "NodeSkipped": lambda p, d: NodeSkipped(*p, SkipReason(d["reason"])),
    "NodeReused": lambda p, d: NodeReused(
        *p, UUID(d["fromRun"]), tuple(d["ports"]), _read_failure(d["failure"]) if "failure" in d else None
    ),
    "NodeCanceled": lambda p, d: NodeCanceled(*p, _read_usage(d)),
}
