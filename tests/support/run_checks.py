"""What holds of the log of every run that has ended, whatever happened to its processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.events import SETTLING, TERMINAL, NodeRetrying, NodeStarted
from domain.ports.paging import PageRequest
from domain.run import NO_USAGE, NodeRunQuery, RunStatus
from persistence.run_rows import event_key
from tests.persistence.test_run_rows import Shown
from tests.support.listed import sole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import LoggedEvent
    from domain.run import NodeRun, Run
    from persistence.runs import PostgresRuns


def check_log(log: Sequence[LoggedEvent]) -> None:
    """Check that a log is dense, ends once, says nothing twice, and ends nothing but what has begun."""
    told = [f"{entry.seq} {entry.event}" for entry in log]
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1)), told
    assert [isinstance(entry.event, TERMINAL) for entry in log] == [False] * (len(log) - 1) + [True], told
    keys = Counter(event_key(entry.event) for entry in log)
    assert max(keys.values()) == 1, told
    started: Counter[tuple[str, int | None]] = Counter()
    settled: set[tuple[str, int | None]] = set()
    for event in (entry.event for entry in log):
        key = getattr(event, "node_key", None)
        if key is None:
            continue
        place = key, getattr(event, "item_index", None)
        assert place not in settled, told
        if isinstance(event, NodeStarted):
            started[place] += 1
            assert event.execution == started[place], told
        elif isinstance(event, NodeRetrying):
            assert event.execution == started[place], told
        elif isinstance(event, SETTLING):
            settled.add(place)


async def check_shown(reader: PostgresRuns, run: Run, log: Sequence[LoggedEvent]) -> list[NodeRun]:
    """Check that what queries show of an ended run is the fold of its log; return its nodes."""
    queued = replace(
        run, status=RunStatus.QUEUED, last_seq=0, nodes_done=0, started_at=None, finished_at=None, failure=None,
        usage=NO_USAGE,
    )  # fmt: skip
    shown = Shown(queued, {}, {})
    shown.fold(log)
    assert shown.run == run, [f"{entry.seq} {entry.event}" for entry in log]
    page = await sole(reader.node_runs([run.id], NodeRunQuery(), PageRequest(1_000)))
    assert list(page.items) == list(shown.nodes.values()), [f"{entry.seq} {entry.event}" for entry in log]
    return list(page.items)
