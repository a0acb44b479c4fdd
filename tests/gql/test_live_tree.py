from __future__ import annotations

import io
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from gql.client.events import read_event, read_run
from gql.client.run_view import RunView
from gql.live_tree import describe, draw, is_worth_a_line, printable
from tests.support.fake_api import RUN, delta, event, node_event, opened, story

BEGIN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def diamond() -> RunView:
    run = opened("RUNNING", "c1")
    run["graph"] = {
        "nodes": [{"key": key, "name": f"Node {key}", "kind": "TRANSFORM"} for key in ("a", "b", "c", "d")],
        "edges": [
            {"source": source, "sourcePort": "out", "target": target}
            for source, target in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))
        ],
    }
    return RunView.of(read_run(run))


def drawn(view: RunView, *events: dict[str, Any], after_s: float = 10) -> list[str]:
    for raw in events:
        view.apply(read_event(raw))
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(draw(view, BEGIN + timedelta(seconds=after_s)))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_node_at_which_branches_meet_hangs_where_they_left_the_main_stream() -> None:
    assert drawn(diamond()) == [
        f"hello  RUNNING  10.0 s  {RUN}",
        "└── · Node a  TRANSFORM",
        "    ├── · Node b  TRANSFORM",
        "    ├── · Node c  TRANSFORM",
        "    └── · Node d  TRANSFORM  joins b, c",
    ]


def test_branches_of_unlike_length_and_several_beginnings_are_drawn_too() -> None:
    run = opened("RUNNING", "c1")
    edges = [("a", "b"), ("b", "c"), ("a", "d"), ("c", "d"), ("d", "e"), ("x", "e"), ("e", "f")]
    run["graph"] = {
        "nodes": [{"key": key, "name": key, "kind": "TRANSFORM"} for key in "abcdefx"],
        "edges": [{"source": source, "sourcePort": "out", "target": target} for source, target in edges],
    }
    assert drawn(RunView.of(read_run(run)))[1:] == [
        "├── · a  TRANSFORM",
        "│   ├── · b  TRANSFORM",
        "│   │   └── · c  TRANSFORM",
        "│   └── · d  TRANSFORM  joins a, c",
        "├── · x  TRANSFORM",
        "└── · e  TRANSFORM  joins d, x",
        "    └── · f  TRANSFORM",
    ]


def test_matches_of_a_search_are_drawn_with_their_scores_each_on_one_line() -> None:
    text = "asyncio.wait: Wait for \x1b[31mFutures.\n\nMore about it."
    output = {"matches": [{"text": text, "score": 0.5129}, {"text": "long " * 60, "score": -1}]}
    lines = drawn(RunView.of(read_run(opened())), node_event(3, "NodeSucceeded", durationMs=9, output=output))
    assert lines[2] == "    0.51  asyncio.wait: Wait for �[31mFutures."
    assert lines[3].startswith("    -1.00  long long")
    assert lines[3].endswith("…"), "what does not fit is seen to be cut"
    assert len(lines) == 4
    other = {"matches": "none"}
    assert len(drawn(RunView.of(read_run(opened())), node_event(3, "NodeSucceeded", output=other))) == 2


def test_every_state_is_shown_with_its_time_attempt_and_reason() -> None:
    error = {"code": "TIMED_OUT", "message": "No answer.", "nodeKey": "b", "attempt": 1}
    assert drawn(
        diamond(),
        node_event(1, "NodeStarted", "a"),
        node_event(3, "NodeSucceeded", "a", durationMs=2000, usage={"totalTokens": 12}),
        node_event(3, "NodeStarted", "b"),
        node_event(4, "NodeRetrying", "b", error=error, nextAttemptAt="2026-11-22T12:00:05Z"),
        node_event(5, "NodeStarted", "b", attempt=2),
        node_event(6, "NodeSkipped", "c", attempt=0, skipReason="CONDITION_FALSE"),
        node_event(7, "NodeSkipped", "d", attempt=0, skipReason="NO_EDGE_TAKEN"),
    )[1:] == [
        "└── ✔ Node a  TRANSFORM  2.0 s  12 tokens",
        "    ├── ▶ Node b  TRANSFORM  7.0 s  attempt 2",
        "    │   TIMED_OUT: No answer.",
        "    ├── ○ Node c  TRANSFORM  CONDITION_FALSE",
        "    └── ○ Node d  TRANSFORM  joins b, c  NO_EDGE_TAKEN",
    ]


def test_a_wait_is_drawn_with_its_reason_and_end_while_it_lasts() -> None:
    wait = node_event(2, "NodeWaiting", "a", reason="TIMER", until="2026-11-22T18:00:00Z")
    view = diamond()
    assert drawn(view, node_event(1, "NodeStarted", "a"), wait)[1] == (
        "└── ⏸ Node a  TRANSFORM  9.0 s  waits until 2026-11-22 18:00:00 UTC"
    )
    assert describe(read_event(wait), BEGIN) == "  2.000 s  a: waits until 2026-11-22 18:00:00 UTC"
    assert drawn(view, node_event(4, "NodeSucceeded", "a", durationMs=3000))[1] == "└── ✔ Node a  TRANSFORM  3.0 s"


def test_a_view_opened_while_a_node_waits_tells_for_what() -> None:
    state = {"key": "ask", "status": "WAITING", "attempt": 1, "waiting": {"reason": "APPROVAL", "until": None}}
    run = opened("WAITING", "c1", state)
    assert drawn(RunView.of(read_run(run)))[1].endswith("  asks a person")


def test_what_is_reused_is_seen_to_be_in_the_snapshot_and_in_the_stream() -> None:
    run = opened("QUEUED", "c1")
    run["snapshot"]["nodes"] = [{"key": "ask", "status": "REUSED", "finishedAt": "2026-11-22T12:00:00Z"}]
    assert drawn(RunView.of(read_run(run)))[1:] == ["└── ♻ Ask  LLM_CALL  reused"]
    raw = node_event(1, "NodeReused", attempt=0, fromRun={"id": RUN})
    assert drawn(RunView.of(read_run(opened())), raw)[1:] == [f"└── ♻ Ask  LLM_CALL  reused from {RUN}"]
    assert describe(read_event(raw), BEGIN) == f"  1.000 s  ask: REUSED from {RUN}"
    gone = node_event(1, "NodeReused", attempt=0, fromRun=None)
    assert drawn(RunView.of(read_run(opened())), gone)[1:] == ["└── ♻ Ask  LLM_CALL  reused"]
    assert describe(read_event(gone), BEGIN) == "  1.000 s  ask: REUSED"


def test_the_clock_of_an_ended_run_stands_still() -> None:
    lines = drawn(RunView.of(read_run(opened())), *story(), after_s=500)
    assert lines == [
        f"hello  SUCCEEDED  5.0 s  {RUN}",
        "└── ✔ Ask  LLM_CALL  3.0 s  9 tokens",
        "    Hello world",
    ]


def test_only_the_end_of_a_long_text_is_drawn() -> None:
    text = "x" * 2_000 + "the end"
    lines = drawn(RunView.of(read_run(opened())), node_event(1, "NodeStarted"), delta(2, text, 0))
    assert len(lines) < 12
    assert lines[2].strip().startswith("…")
    assert lines[-1].endswith("the end")


def test_what_a_model_writes_cannot_steer_the_terminal() -> None:
    evil = "a\x1b]0;title\x07\x9b2J\r\u202eb\tc\nd\ud800[bold]"
    assert printable(evil) == "a�]0;title��2J��b\tc\nd�[bold]"
    lines = drawn(RunView.of(read_run(opened())), node_event(1, "NodeStarted"), delta(2, evil, 0))
    assert "[bold]" in lines[-1], "brackets are text, not markup"
    assert not set("\x1b\x07\x9b\r") & set("".join(lines))


def test_an_event_is_one_line_whatever_its_text_holds() -> None:
    assert describe(read_event(delta(3, "one\ntwo", 0)), BEGIN) == "  3.000 s  ask: + 'one\\ntwo'"


def test_events_are_told_in_words() -> None:
    error = {"code": "HTTP_STATUS", "message": "503", "nodeKey": "ask", "attempt": 1}
    told = [
        describe(read_event(raw), BEGIN).split(" s  ")[1]
        for raw in (
            event(1, "RunCancelRequested"),
            node_event(2, "NodeStarted", attempt=2),
            node_event(3, "NodeRetrying", error=error, nextAttemptAt="2026-11-22T12:00:05Z"),
            node_event(4, "NodeFailed", attempt=2, error=error),
            node_event(5, "NodeSkipped", attempt=0, skipReason="UPSTREAM_FAILED"),
            node_event(6, "NodePolished") | {"itemIndex": 4},
            event(7, "RunFailed", error=error),
        )
    ]
    assert told == [
        "run cancel requested",
        "ask: started (attempt 2)",
        "ask: attempt 1 failed, another follows: HTTP_STATUS: 503",
        "ask: attempt 2 FAILED: HTTP_STATUS: 503",
        "ask: SKIPPED (UPSTREAM_FAILED)",
        "ask[4]: polished",
        "run FAILED: HTTP_STATUS: 503",
    ]


def of_items(seq: int, type_: str, item: int, **fields: Any) -> dict[str, Any]:
    return node_event(seq, type_, "a", **fields) | {"itemIndex": item}


def test_a_list_is_drawn_as_a_bar_with_what_is_done_and_what_failed() -> None:
    view = diamond()
    error = {"code": "NO", "message": "no", "nodeKey": "a", "itemIndex": 1, "attempt": 1}
    expanded = [node_event(1, "NodeStarted", "a"), node_event(2, "NodeExpanded", "a", itemCount=50)]
    assert drawn(view, *expanded)[1] == f"└── ▶ Node a  TRANSFORM  9.0 s  {'─' * 20} 0/50"
    items = [
        of_items(3, "NodeStarted", 0),
        of_items(4, "NodeSucceeded", 0, durationMs=1, usage={"totalTokens": 7}),
        of_items(5, "NodeFailed", 1, error=error),
        of_items(6, "NodeStarted", 2),
    ]
    assert drawn(view, *items)[1] == f"└── ▶ Node a  TRANSFORM  9.0 s  7 tokens  {'─' * 20} 2/50  1 failed"
    told = node_event(7, "NodeProgressed", "a", itemsDone=12, itemCount=50)
    assert drawn(view, told)[1].endswith(f"{'━' * 4}{'─' * 16} 12/50  1 failed")
    assert drawn(view, node_event(8, "NodeSucceeded", "a", durationMs=7))[1].startswith(
        "└── ✔ Node a  TRANSFORM  7.0 s  7 t"
    )


def test_items_that_wait_are_counted_until_they_go_on() -> None:
    state = {"key": "ask", "status": "RUNNING", "attempt": 1, "itemCount": 4, "itemsDone": 0, "itemsWaiting": [0, 2]}
    view = RunView.of(read_run(opened("RUNNING", "c1", state)))
    assert drawn(view)[1].endswith(" 0/4  2 waiting")
    waiting = node_event(2, "NodeWaiting", reason="TIMER", until=None, subRun=None) | {"itemIndex": 3}
    assert drawn(view, waiting)[1].endswith(" 0/4  3 waiting")
    ends = [
        node_event(seq, "NodeSucceeded", durationMs=1) | {"itemIndex": item} for seq, item in ((3, 0), (4, 3), (5, 1))
    ]
    assert drawn(view, *ends)[1].endswith(" 3/4  1 waiting")


def test_a_view_opened_in_the_midst_of_a_list_goes_on_counting() -> None:
    state = {"key": "ask", "status": "RUNNING", "attempt": 1, "itemCount": 4, "itemsDone": 3, "itemsFailed": 1}
    view = RunView.of(read_run(opened("RUNNING", "c1", state)))
    assert drawn(view)[1].endswith(f"{'━' * 15}{'─' * 5} 3/4  1 failed")
    assert drawn(view, node_event(2, "NodeSucceeded", durationMs=1) | {"itemIndex": 3})[1].endswith(
        f"{'━' * 20} 4/4  1 failed"
    )


def test_ten_thousand_items_leave_a_view_as_small_as_it_was() -> None:
    view = diamond()
    drawn(view, node_event(1, "NodeStarted", "a"), node_event(2, "NodeExpanded", "a", itemCount=10_000))
    size = len(pickle.dumps(view))
    for item in range(10_000):
        view.apply(read_event(of_items(3, "NodeStarted", item)))
        view.apply(read_event(of_items(4, "NodeOutputDelta", item, channel="TEXT", text="words", offset=0)))
        view.apply(read_event(of_items(5, "NodeSucceeded", item, durationMs=1, output="words")))
    assert len(pickle.dumps(view)) < size + 100
    assert len(drawn(view)) == 5


def test_of_items_only_what_is_out_of_the_ordinary_has_a_line() -> None:
    error = {"code": "NO", "message": "no"}
    shown = [
        node_event(1, "NodeStarted", "a"),
        node_event(2, "NodeExpanded", "a", itemCount=3),
        of_items(3, "NodeRetrying", 0, error=error, nextAttemptAt="2026-11-22T12:00:05Z"),
        of_items(4, "NodeFailed", 0, attempt=2, error=error),
        node_event(5, "NodeProgressed", "a", itemsDone=2, itemCount=3),
        of_items(6, "NodeWaiting", 2, reason="TIMER", until=None),
    ]
    hidden = [
        of_items(3, "NodeStarted", 0),
        of_items(4, "NodeSucceeded", 1, durationMs=1),
        of_items(5, "NodeCanceled", 2),
    ]
    assert [is_worth_a_line(read_event(raw)) for raw in (*shown, *hidden)] == [True] * 6 + [False] * 3
    assert [describe(read_event(raw), BEGIN) for raw in shown] == [
        "  1.000 s  a: started",
        "  2.000 s  a: 3 items",
        "  3.000 s  a[0]: attempt 1 failed, another follows: NO: no",
        "  4.000 s  a[0]: attempt 2 FAILED: NO: no",
        "  5.000 s  a: 2 of 3 items",
        "  6.000 s  a[2]: waits",
    ]
