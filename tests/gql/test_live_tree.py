from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from gql.client.events import read_event, read_run
from gql.client.run_view import RunView
from gql.live_tree import describe, draw, printable
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
            node_event(6, "NodeProgressed") | {"itemIndex": 4},
            event(7, "RunFailed", error=error),
        )
    ]
    assert told == [
        "run cancel requested",
        "ask: started (attempt 2)",
        "ask: attempt 1 failed, another follows: HTTP_STATUS: 503",
        "ask: attempt 2 FAILED: HTTP_STATUS: 503",
        "ask: SKIPPED (UPSTREAM_FAILED)",
        "ask[4]: progressed",
        "run FAILED: HTTP_STATUS: 503",
    ]
