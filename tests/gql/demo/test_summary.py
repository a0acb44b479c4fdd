from __future__ import annotations

import dataclasses
import io
from typing import Any

from rich.console import Console

from gql.client.events import read_event, read_run
from gql.client.run_view import RunView
from gql.demo.library import Row
from gql.demo.summary import Outcome, summarize
from gql.demo.tally import Claim, Kill
from tests.support.fake_api import event, node_event, opened, story


def outcome(*events: dict[str, Any], claims: tuple[Claim, ...] = ()) -> Outcome:
    run = opened()
    run["graph"]["nodes"].append({"key": "members", "name": "Search", "kind": "FAISS_SEARCH"})
    view = RunView.of(read_run(run))
    for raw in events or story():
        view.apply(read_event(raw))
    row = Row("row_1", {"answer": "Hello \x1b[2Jworld", "tokens": 9})
    kills = [Kill(4, frozenset({"members"}), 5.04)]
    return Outcome("Why?", view, row, kills, claims or (Claim("events lost", 0, 0),), 38.2)


def shown(outcome: Outcome) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(summarize(outcome))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_good_end_tells_answer_sources_tokens_row_kills_and_counts() -> None:
    matches = {"matches": [{"text": "asyncio.wait: Wait for it.", "score": 0.513}]}
    found = node_event(4, "NodeSucceeded", "members", output=matches)
    good = outcome(*story()[:4], found, *story()[4:])
    assert good.faults == []
    text = shown(good)
    for part in (
        "✔ All of it holds",
        "Answer    Hello world",
        "Sources   asyncio.wait 0.51",
        "Tokens    7 in, 2 out",
        "Row       row_1, read back over GraphQL: answer Hello �[2Jworld, tokens 9",
        "Kill 1    SIGKILL after 4 pieces of the answer; back after 5.0 s",
        "Counted   events lost 0",
        "Time      38.2 s in all",
    ):
        assert part in text, part


def test_a_claim_that_does_not_hold_is_a_fault_in_a_sentence() -> None:
    bad = outcome(claims=(Claim("events lost", 3, 0), Claim("rows", 1, 1)))
    assert bad.faults == ["A claim does not hold: events lost 3, and it has to be 0."]
    assert "✘ The demo failed" in shown(bad)
    assert "Counted   events lost 3 · rows 1" in shown(bad)


def test_a_run_that_failed_tells_where_and_why() -> None:
    error = {"code": "MODEL_UNAVAILABLE", "message": "No answer.", "nodeKey": "answer", "attempt": 2}
    failed = outcome(*story()[:5], event(6, "RunFailed", error=error))
    assert failed.faults == ["The run FAILED at answer: MODEL_UNAVAILABLE: No answer."]
    assert "Answer" not in shown(dataclasses.replace(failed, row=None))


def test_searches_that_found_nothing_are_told_of() -> None:
    assert "Sources   none: nothing was found" in shown(outcome())
