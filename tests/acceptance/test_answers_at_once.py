"""A question answered at the same instant through two server processes: one answer counts, and the run goes on with it."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.server_process import Caller, server_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROUNDS = int(os.environ.get("ANABRANCH_TEST_ROUNDS", "20"))
ACTIONS = ("approve", "reject")
ANSWER = """mutation($i: AnswerApprovalInput!) { answerApproval(input: $i) {
  approval { action status } userErrors { __typename code message } } }"""
OPEN = "query($id: ID!) { run(id: $id) { status approvals(first: 5) { nodes { id status action } } } }"
RUNS = {"ANABRANCH_RUNS__LINGER_S": "0.1"}
"""Leave memory soon."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def transform(value: str) -> dict[str, Any]:
    return {"transform": {"fields": [{"name": "said", "value": value}]}}


def graph() -> dict[str, Any]:
    nodes = [{"key": "ask", "config": {"approval": {"title": "Well?"}}}]
    nodes += [
        {"key": action, "config": transform(f"{{{{ nodes.ask.output.action }}}} by {action}")} for action in ACTIONS
    ]
    return {"nodes": nodes, "edges": [{"source": "ask", "sourcePort": one, "target": one} for one in ACTIONS]}


async def asked(caller: Caller, run_id: str, last: str) -> list[dict[str, Any]]:
    """Follow until an event of this type."""
    log: list[dict[str, Any]] = []
    async with aclosing(caller.follow(run_id)) as events:
        async for event in events:
            log.append(event)
            if event["__typename"] == last:
                return log
    raise AssertionError(log)


async def test_of_two_answers_through_two_processes_one_counts_and_the_run_goes_on_with_it(data_dir: Path) -> None:
    async with (
        server_process(data_dir, RUNS) as one,
        server_process(data_dir, RUNS) as two,
        aiohttp.ClientSession() as session,
    ):
        first = Caller(one.url, session)
        await first.sign_up()
        second = Caller(two.url, session, first.token)
        workflow = await first.create(name="Ask", graph=graph())
        winners: list[str] = []
        for round_ in range(ROUNDS):
            # Every other question is answered when the run is not in memory any more.
            is_away = round_ % 2 == 1
            starter, other = (first, second) if round_ % 4 < 2 else (second, first)
            run_id = await starter.start(workflow)
            await asked(other, run_id, "RunWaiting" if is_away else "ApprovalRequested")
            winners.append(await answer_twice((first, second), run_id))
            log = await other.ended(run_id)
            check(log, winners[-1], is_away=is_away)
            assert log == await starter.ended(run_id)
        print(f"{ROUNDS} rounds, {winners.count('approve')} won by the first process")  # noqa: T201


async def answer_twice(callers: Sequence[Caller], run_id: str) -> str:
    """Answer through both processes at once; return the action that counts."""
    [question] = (await callers[0].ask(OPEN, id=run_id))["run"]["approvals"]["nodes"]
    given = [{"approvalId": question["id"], "action": action} for action in ACTIONS]
    answers = await asyncio.gather(*(caller.ask(ANSWER, i=one) for caller, one in zip(callers, given, strict=True)))
    payloads = [answer["answerApproval"] for answer in answers]
    errors = [[error["__typename"] for error in payload["userErrors"]] for payload in payloads]
    assert sorted(errors) == [[], ["ConflictError"]]
    won = ACTIONS[errors.index([])]
    assert payloads[errors.index([])]["approval"] == {"action": won, "status": "ANSWERED"}
    late = (await callers[1].ask(ANSWER, i=given[0]))["answerApproval"]
    assert [error["__typename"] for error in late["userErrors"]] == ["ConflictError"]
    [question] = (await callers[1].ask(OPEN, id=run_id))["run"]["approvals"]["nodes"]
    assert (question["status"], question["action"]) == ("ANSWERED", won)
    return won


def check(log: list[dict[str, Any]], won: str, *, is_away: bool) -> None:
    types = [event["__typename"] for event in log]
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert types.count("ApprovalAnswered") == types.count("ApprovalRequested") == 1
    assert not is_away or types.count("RunResumed") == 1
    assert types[-1] == "RunSucceeded"
    assert log[-1]["output"] == {won: {"said": f"{won} by {won}"}}
    lost = ACTIONS[1 - ACTIONS.index(won)]
    ends = {
        event["nodeKey"]: event["__typename"]
        for event in log
        if event["__typename"] in {"NodeSucceeded", "NodeSkipped"}
    }
    assert ends == {"ask": "NodeSucceeded", won: "NodeSucceeded", lost: "NodeSkipped"}
