"""Runs that ask people."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from domain.approvals import Approval, ApprovalQuery, ApprovalStatus, GivenAnswer
from domain.events import (
    ApprovalAnswered,
    ApprovalRequested,
    NodeFailed,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunSucceeded,
)
from domain.ports.paging import PageRequest
from domain.run import NodeWait, WaitReason
from persistence.approvals import PostgresApprovals
from runtime.nodes.approval import KIND as APPROVAL
from tests.runtime.test_run_waits import FAST, LINGERING, begun, has_left
from tests.support.engines import World, names, only, world
from tests.support.kinds import graph, script
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from domain.ids import ApprovalId, RunId
    from domain.ports.runs import Group
    from domain.workflow import Definition
    from persistence.database import Database

HOUR_MS = 3_600_000


def asking(timeout_ms: int = HOUR_MS, **more: object) -> dict[str, Any]:
    """Return a node that asks."""
    config = {"title": "Is {{ input }} good?", "message": "**Look** at it.", "timeoutMs": timeout_ms}
    return {"config": {"approval": config}, **more}


def asked(**more: object) -> Definition:
    """Return a graph that goes one of three ways by the answer."""
    nodes = {
        "ask": asking(**more),  # pyright: ignore[reportArgumentType]
        "yes": {"value": "{{ nodes.ask.output }}"},
        "no": {},
        "late": {"value": "{{ nodes.ask.output.action }}"},
    }
    return graph(nodes, "ask.approve>yes", "ask.reject>no", "ask.timeout>late")


async def approval_of(w: World, run_id: RunId) -> Approval:
    """Wait for the one question of a run."""
    found: list[Approval] = []

    async def is_there() -> bool:
        page = await sole(
            PostgresApprovals(w.database).page_by_workspace(
                [w.workspace_id], ApprovalQuery(run_id=run_id), PageRequest(2)
            )
        )
        found[:] = page.items
        return bool(found)

    await until(is_there)
    (approval,) = found
    return approval


async def answer(w: World, approval_id: ApprovalId, action: str = "approve", **values: Any) -> bool:
    """Answer as somebody without an account would, if that were possible."""
    async with w.database.direct() as connection:
        by = await connection.fetchval(
            "INSERT INTO users (id, email, name, password_hash) VALUES (gen_random_uuid(), gen_random_uuid()::text, 'a', '')"
            " RETURNING id"
        )
    given = GivenAnswer(action, values or None, by, "ada@example.com", datetime.now(UTC))
    is_first = await PostgresApprovals(w.database).answer(approval_id, given)
    w.engine.look()
    return is_first


async def test_a_run_asks_and_goes_on_by_the_answer(database: Database) -> None:
    async with world(database, APPROVAL, script(), limits=LINGERING) as w:
        run_id = await begun(w, asked())
        approval = await approval_of(w, run_id)
        assert (approval.status, approval.node_key) == (ApprovalStatus.OPEN, "ask")
        question = approval.question
        assert (question.title, question.message) == ("Is null good?", "**Look** at it.")
        assert (question.form, question.actions, question.assignees) == (None, ("approve", "reject"), ())
        (state, *_) = (await w.reader.snapshot(run_id)).nodes
        assert state.wait == NodeWait(WaitReason.APPROVAL, question.until, approval.id)
        assert await answer(w, approval.id, "approve", note="fine")
        events = await w.ended(run_id)
        assert names(events)[2:] == [
            "NodeStarted ask",
            "NodeWaiting ask",
            "ApprovalRequested ask",
            "ApprovalAnswered ask",
            "NodeSucceeded ask",
            "NodeSkipped no",
            "NodeSkipped late",
            "NodeStarted yes",
            "NodeSucceeded yes",
            "RunSucceeded",
        ]
        approval = await approval_of(w, run_id)
        told = only(events, ApprovalAnswered)
        assert (told.approval, told.action, told.by) == (approval.id, "approve", approval.answered_by)
        assert only(events, NodeWaiting).approval == only(events, ApprovalRequested).approval == approval.id
        ((_, output),) = (await w.reader.payloads([run_id])).values()
        assert output is not None
        said = json.loads(output)["yes"]
        assert (said["action"], said["values"], said["by"]) == ("approve", {"note": "fine"}, "ada@example.com")
        assert datetime.fromisoformat(said["at"]) - datetime.now(UTC) < timedelta(minutes=1)
        assert (approval.status, approval.action, approval.values) == (
            ApprovalStatus.ANSWERED,
            "approve",
            {"note": "fine"},
        )


async def test_an_answer_brings_a_run_back_into_memory(database: Database) -> None:
    async with world(database, APPROVAL, script(), limits=FAST) as w:
        run_id = await begun(w, asked())
        await has_left(w, run_id)
        await answer(w, (await approval_of(w, run_id)).id, "reject")
        events = await w.ended(run_id)
        assert names(events)[5:9] == ["RunWaiting", "RunResumed", "ApprovalAnswered ask", "NodeSucceeded ask"]
        assert "NodeSucceeded no" in names(events)


async def test_the_second_answer_changes_nothing_also_at_the_same_instant(database: Database) -> None:
    async with world(database, APPROVAL, script(), limits=FAST) as w:
        run_id = await begun(w, asked())
        await has_left(w, run_id)
        approval = await approval_of(w, run_id)
        answers = await asyncio.gather(*(answer(w, approval.id, action) for action in ["approve", "reject"] * 4))
        assert sum(answers) == 1
        events = await w.ended(run_id)
        chosen = ["approve", "reject"][answers.index(True) % 2]
        assert only(events, ApprovalAnswered).action == chosen
        assert not await answer(w, approval.id, "approve")
        assert (await approval_of(w, run_id)).action == chosen


async def test_a_question_that_nobody_answers_in_time_takes_its_own_port(database: Database) -> None:
    async with world(database, APPROVAL, script(), limits=FAST) as w:
        run_id = await begun(w, asked(timeout_ms=150))
        events = await w.ended(run_id)
        assert isinstance(events[-1].event, RunSucceeded)
        told, end = only(events, ApprovalAnswered), next(e.event for e in events if isinstance(e.event, NodeSucceeded))
        assert (told.action, told.by, end.ports) == (None, None, ("timeout",))
        ((_, output),) = (await w.reader.payloads([run_id])).values()
        assert output == b'{"late":"timeout"}'
        approval = await approval_of(w, run_id)
        assert (approval.status, approval.action) == (ApprovalStatus.TIMED_OUT, None)
        assert not await answer(w, approval.id)


async def test_a_question_is_closed_with_its_run(database: Database) -> None:
    async with world(database, APPROVAL, script(), limits=FAST) as w:
        run_id = await begun(w, asked())
        await has_left(w, run_id)
        await w.cancel(run_id)
        assert isinstance((await w.ended(run_id))[-1].event, RunCanceled)
        approval = await approval_of(w, run_id)
        assert approval.status is ApprovalStatus.CANCELED
        assert not await answer(w, approval.id)
        assert names(await w.log_rows(run_id))[-1] == "RunCanceled"


async def test_a_question_is_closed_when_its_run_crashes(database: Database) -> None:
    async with world(database, APPROVAL, limits=LINGERING) as dying:
        run_id = await begun(dying, graph({"ask": asking()}))
        approval = await approval_of(dying, run_id)
        dying.crash()
    await dying.entered(expires_in_s=-1)
    async with world(database, APPROVAL, limits=replace(FAST, max_recoveries=0), like=dying) as heir:
        assert names(await heir.ended(run_id))[-2:] == ["NodeCanceled ask", "RunCrashed"]
        assert (await approval_of(heir, run_id)).status is ApprovalStatus.CANCELED
        assert not await answer(heir, approval.id)


async def test_a_question_on_its_way_to_the_log_is_closed_when_its_run_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, opened = asyncio.Event(), asyncio.Event()
    async with world(database, APPROVAL, limits=LINGERING) as w:
        store = w.log._completions.store

        async def held(group: Group) -> int:
            reached.set()
            await opened.wait()
            return await store(group)

        monkeypatch.setattr(w.log._completions, "store", held)
        run_id = await begun(w, graph({"ask": asking()}))
        await reached.wait()
        with capture_logs():
            w.engine._runs[run_id].fault()
        opened.set()
        assert names(await w.ended(run_id))[-3:] == ["NodeWaiting ask", "ApprovalRequested ask", "RunFailed"]
        assert (await approval_of(w, run_id)).status is ApprovalStatus.CANCELED


async def test_a_question_is_closed_when_its_node_has_no_more_time_and_others_stay_open(database: Database) -> None:
    node = asking(timeouts={"scheduleToCloseMs": 150}, onError={"mode": "BRANCH"})
    made = graph({"ask": node, "other": asking(), "sorry": {}}, "ask.error>sorry")
    async with world(database, APPROVAL, script(), limits=LINGERING) as w:
        run_id = await begun(w, made)
        await until(lambda: _has(w, run_id, "NodeSucceeded sorry"))
        failed = only(await w.log_rows(run_id), NodeFailed)
        assert (failed.node_key, failed.failure.code) == ("ask", "TIMED_OUT")
        page = await sole(
            PostgresApprovals(database).page_by_workspace(
                [w.workspace_id], ApprovalQuery(run_id=run_id), PageRequest(9)
            )
        )
        states = {approval.node_key: approval.status for approval in page.items}
        assert states == {"ask": ApprovalStatus.CANCELED, "other": ApprovalStatus.OPEN}
        assert [approval.node_key for approval in page.items] == ["other", "ask"], "open ones first"


async def _has(w: World, run_id: RunId, name: str) -> bool:
    return name in names(await w.log_rows(run_id))


async def test_a_question_is_asked_once_though_its_process_dies(database: Database) -> None:
    async with world(database, APPROVAL, script(), limits=LINGERING) as dying:
        run_id = await begun(dying, asked())
        approval = await approval_of(dying, run_id)
        dying.crash()
    await dying.entered(expires_in_s=-1)
    assert await answer(dying, approval.id)
    async with world(database, APPROVAL, script(), limits=FAST, like=dying) as heir:
        events = await heir.ended(run_id)
        assert names(events).count("ApprovalRequested ask") == 1
        assert names(events)[5:8] == ["RunRecovered", "ApprovalAnswered ask", "NodeSucceeded ask"]
        assert (await approval_of(heir, run_id)).id == approval.id
