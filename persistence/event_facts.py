"""The facts of an event as JSON, and back: what stands in `run_events.data` beside the row's own columns."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from domain.events import (
    Event,
    NodeCanceled,
    NodeFailed,
    NodeOutputDelta,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    RunCanceled,
    RunCancelRequested,
    RunCrashed,
    RunFailed,
    RunQueued,
    RunRecovered,
    RunStarted,
    RunSucceeded,
)
from domain.run import NO_USAGE, DeltaChannel, Failure, SkipReason, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def facts(event: Event) -> str | None:  # noqa: C901, PLR0911 -- one line for each type that has facts
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
        case NodeSkipped():
            return _dump({"reason": event.reason})
        case RunRecovered():
            return _dump({"count": event.recovery_count, "restarted": event.restarted})
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


def _usage(usage: Usage) -> list[int] | None:
    return [usage.input_tokens, usage.output_tokens, usage.total_tokens] if usage is not NO_USAGE else None


def _dump(value: dict[str, object]) -> str:
    return orjson.dumps({key: part for key, part in value.items() if part is not None}).decode()


def _succeeded(event: NodeSucceeded) -> str:
    if event.ports == ("out",) and event.usage is NO_USAGE:
        return f'{{"durationMs":{event.duration_ms}}}'
    return _dump({"durationMs": event.duration_ms, "ports": event.ports, "usage": _usage(event.usage)})


def _ended(usage: Usage, **others: object) -> str:
    return _dump({**others, "usage": _usage(usage)})


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
    return NO_USAGE if counts is None else Usage(*counts)


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
    "RunCancelRequested": lambda d: RunCancelRequested(UUID(d["by"]) if d.get("by") else None, d.get("reason")),
    "RunSucceeded": lambda d: RunSucceeded(d["durationMs"], _read_usage(d)),
    "RunFailed": lambda d: RunFailed(_read_failure(d["failure"]), _read_usage(d)),
    "RunCanceled": lambda d: RunCanceled(_read_usage(d)),
    "RunCrashed": lambda d: RunCrashed(_read_failure(d["failure"]), _read_usage(d)),
}

_NODE_READERS: dict[str, Callable[[_Place, Mapping[str, Any]], Event]] = {
    "NodeStarted": lambda p, _: NodeStarted(*p),
    "NodeOutputDelta": lambda p, d: NodeOutputDelta(*p, DeltaChannel(d["channel"]), d["text"], d["offset"]),
    "NodeRetrying": lambda p, d: NodeRetrying(
        *p, _read_failure(d["failure"]), datetime.fromisoformat(d["nextAttemptAt"]), usage=_read_usage(d)
    ),
    "NodeSucceeded": lambda p, d: NodeSucceeded(*p, tuple(d.get("ports", ("out",))), d["durationMs"], _read_usage(d)),
    "NodeFailed": lambda p, d: NodeFailed(*p, _read_failure(d["failure"]), tuple(d["ports"]), usage=_read_usage(d)),
    "NodeSkipped": lambda p, d: NodeSkipped(*p, SkipReason(d["reason"])),
    "NodeCanceled": lambda p, d: NodeCanceled(*p, _read_usage(d)),
}
