"""Items of a `forEach` whose process dies, or that wait out of memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.approvals import ApprovalQuery, ApprovalStatus
from domain.errors import NodeFault
from domain.events import (
    ApprovalAnswered,
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    NodeWaiting,
    RunRecovered,
    RunSucceeded,
)
from domain.ports.paging import PageRequest
from domain.run import RunStatus
from persistence.approvals import PostgresApprovals
from tests.runtime.test_approval_runs import answer, asking
from tests.runtime.test_local import FAST, crashing, logged
from tests.runtime.test_run_waits import LINGERING, begun, has_left, waiting
from tests.runtime.test_sub_runs import call, calling, children
from tests.support.engines import only, world
from tests.support.items import each, item_of, output_of, told, whole
from tests.support.kinds import forever, graph, retry, script
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.approvals import Approval
    from domain.ids import RunId
    from domain.kinds import NodeContext
    from domain.run import Run
    from persistence.database import Database
    from tests.support.engines import World


class Workshop:
    """A step that counts its works by item; those in `slow` do not end before they may."""

    def __init__(self, *slow: int) -> None:
        self.slow = set(slow)
        self.works: Counter[int] = Counter()
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self, ctx: NodeContext) -> str:
        item = item_of(ctx)
        self.works[item] += 1
        if item in self.slow:
            if all(self.works[one] for one in self.slow):
                self.reached.set()
            await self.opened.wait()
        return f"done {item}"


async def test_items_that_have_ended_are_kept_and_those_at_work_begin_again(database: Database) -> None:
    shop = Workshop(2, 3)
    kind = script(each=shop)
    made = graph(
        {"each": each("input.list", most=3, value="{{ item }}"), "then": {"value": "{{ nodes.each.output }}"}},
        "each>then",
    )
    async with crashing(database, kind) as lost:
        run_id = await begun(lost, made, {"list": ["a", "b", "c", "d", "e"]})
        await shop.reached.wait()
        await until(lambda: lost.log.commit_count > 0)
        await stored_ends(lost, run_id, 3)
    shop.opened.set()
    async with world(database, kind, limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        assert isinstance(events[-1].event, RunSucceeded)
        assert await output_of(heir, events) == {"then": [f"done {item}" for item in range(5)]}
        assert shop.works == {0: 1, 1: 1, 2: 2, 3: 2, 4: 1}
        recovered = only(events, RunRecovered)
        assert recovered.restarted == ["each"], "named once, however many of its items begin again"
        starts = [e.event for e in events if isinstance(e.event, NodeStarted) and e.event.node_key == "each"]
        executions = {start.item_index: start.execution for start in starts}
        assert executions == {None: 1, 0: 1, 1: 1, 2: 2, 3: 2, 4: 1}, "the node itself goes on"


async def stored_ends(w: World, run_id: RunId, count: int) -> None:
    """Wait until so many items have ended in the log."""

    async def are_there() -> bool:
        return sum(line.startswith("NodeSucceeded each[") for line in told(await w.log_rows(run_id))) == count

    await until(are_there)


async def test_an_attempt_of_an_item_that_was_cut_off_costs_it_no_try(database: Database) -> None:
    tries: list[int] = []
    reached = asyncio.Event()

    async def work(ctx: NodeContext) -> str:
        tries.append(item_of(ctx))
        if len(tries) == 1:
            reached.set()
            await forever(ctx)
        if len(tries) == 2:
            raise NodeFault("LATER", "not yet", is_retryable=True)
        return "fine"

    kind = script(each=work)
    async with crashing(database, kind) as lost:
        run_id = await begun(lost, graph({"each": each(retry=retry(2))}), [0])
        await reached.wait()
    async with world(database, kind, limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        assert await output_of(heir, events) == {"each": ["fine"]}
        assert only(events, NodeRetrying).execution == 2


async def test_backoffs_of_items_go_on_behind_a_crash(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("LATER", "no", is_retryable=True)

    node = each(retry=retry(2, 3_600_000))
    async with crashing(database, script(each=fail)) as lost:
        run_id = await begun(lost, graph({"each": node}), [0, 0])
        await logged(lost, run_id, NodeRetrying)
    async with world(database, script(each=fail), limits=FAST, like=lost) as heir:
        await logged(heir, run_id, RunRecovered)
        await until(lambda: heir.engine.holds(run_id))
        await heir.cancel(run_id)
        log = told(await heir.ended(run_id))
        assert sorted(log[-4:-2]) == ["NodeCanceled each[0]", "NodeCanceled each[1]"]
        assert log[-2:] == ["NodeCanceled each", "RunCanceled"]


async def test_pure_items_are_computed_on_behind_a_crash_in_the_midst_of_them(database: Database) -> None:
    pure = replace(script(), kind="PURE", name="pure", is_pure=True)
    nodes = {"each": each(config={"pure": {"step": "-", "value": "{{ item + 1 }}"}})}
    async with crashing(database, pure) as lost:
        run_id = await begun(lost, graph(nodes), list(range(4_000)))
        async for _ in lost.progress.follow(run_id):
            break
        await until(lambda: lost.log.commit_count >= 2)
        lost.crash()
    async with world(database, pure, limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        assert await output_of(heir, events) == {"each": list(range(1, 4_001))}
        assert only(events, RunRecovered).restarted == []
        assert [e.seq for e in events] == list(range(1, len(events) + 1))


async def test_a_list_that_is_another_one_now_fails_its_node_instead_of_mixing_items_up(database: Database) -> None:
    shop = Workshop(0)
    kind = script(each=shop)
    async with crashing(database, kind) as lost:
        run_id = await begun(lost, graph({"each": each()}), [0, 0])
        await shop.reached.wait()
    async with database.direct() as connection:
        await connection.execute("UPDATE runs SET input = '[0, 0, 0]' WHERE id = $1", run_id)
    async with world(database, kind, limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        failure = whole(events, NodeFailed).failure
        assert failure.code == "INVALID_ITEMS"
        assert failure.message == "The list had 2 items when the node began, and has 3 now."
        assert shop.works[0] == 1


# ── waiting ──


async def test_items_that_wait_let_the_run_leave_memory_and_end_by_their_own_times(database: Database) -> None:
    async with calling(database) as w:
        run_id = await begun(w, graph({"each": waiting(300, **each(most=2))}), [0] * 3)
        await has_left(w, run_id)
        events = await w.ended(run_id)
        waits = [e.event for e in events if isinstance(e.event, NodeWaiting)]
        assert [wait.item_index for wait in waits] == [0, 1, 2]
        assert len((await output_of(w, events))["each"]) == 3
        assert "RunWaiting" in told(events)


async def approvals_of(w: World, run_id: RunId, count: int) -> list[Approval]:
    """Wait until a run has asked so many questions."""
    found: list[Approval] = []

    async def are_there() -> bool:
        page = await sole(
            PostgresApprovals(w.database).page_by_workspace(
                [w.workspace_id], ApprovalQuery(run_id=run_id), PageRequest(50)
            )
        )
        found[:] = sorted(page.items, key=lambda one: one.item_index or 0)
        return len(found) == count

    await until(are_there)
    return found


async def test_every_item_asks_a_question_of_its_own_and_goes_on_by_its_answer(database: Database) -> None:
    async with calling(database) as w:
        node = asking(**each(most=2))  # pyright: ignore[reportArgumentType]
        run_id = await begun(w, graph({"each": node}), [0] * 3)
        first, second = await approvals_of(w, run_id, 2)
        assert (first.item_index, second.item_index) == (0, 1)
        await has_left(w, run_id)
        assert await answer(w, second.id, "reject")
        *_, third = await approvals_of(w, run_id, 3)
        assert third.item_index == 2, "it asks when there is room"
        assert await answer(w, first.id, "approve", note="a")
        assert await answer(w, third.id, "approve", note="c")
        events = await w.ended(run_id)
        answers = [e.event.item_index for e in events if isinstance(e.event, ApprovalAnswered)]
        assert sorted(answers, key=str) == [0, 1, 2]
        given = (await output_of(w, events))["each"]
        assert [(one["action"], one["values"]) for one in given] == [
            ("approve", {"note": "a"}),
            ("reject", None),
            ("approve", {"note": "c"}),
        ]


async def test_an_item_that_fails_closes_the_questions_of_the_others_and_of_no_other_node(database: Database) -> None:
    late = each(on_error="FAIL", most=1, timeouts={"scheduleToCloseMs": 100})
    nodes = {"ask": asking(**each()), "late": asking(**late), "other": asking()}  # pyright: ignore[reportArgumentType]
    made = graph(nodes, failurePolicy="FINISH_BRANCHES")
    async with calling(database, limits=LINGERING) as w:
        run_id = await begun(w, made, [0, 0])
        await approvals_of(w, run_id, 4)

        async def statuses() -> list[tuple[str, int, ApprovalStatus]]:
            found = await approvals_of(w, run_id, 4)
            return sorted((one.node_key, one.item_index or 0, one.status) for one in found)

        async def is_closed() -> bool:
            return ("late", 0, ApprovalStatus.CANCELED) in await statuses()

        await until(is_closed)
        left = [(key, item) for key, item, status in await statuses() if status is ApprovalStatus.OPEN]
        assert left == [("ask", 0), ("ask", 1), ("other", 0)]
        log = await w.log_rows(run_id)
        assert whole(log, NodeFailed).failure.code == "TIMED_OUT"
        assert "NodeStarted late[1]" not in told(log)
        await w.cancel(run_id)
        await w.ended(run_id)
        assert {status for _, _, status in await statuses()} == {ApprovalStatus.CANCELED}


async def test_every_item_calls_a_run_of_its_own_and_gets_its_output(database: Database) -> None:
    child = graph({"double": {"value": "{{ input * 2 }}"}})
    async with calling(database, child=child) as w:
        run_id = await begun(w, graph({"each": call(given="{{ item }}", **each(most=2))}), [1, 2, 3])
        events = await w.ended(run_id)
        assert await output_of(w, events) == {"each": [{"double": 2}, {"double": 4}, {"double": 6}]}
        called = await children(w, run_id)
        assert len(called) == 3
        waits = {e.event.item_index: e.event.sub_run for e in events if isinstance(e.event, NodeWaiting)}
        places = [(run_id, "each", item) for item in range(3)]
        assert await w.reader.called_by(places) == {(run_id, "each", item): run for item, run in waits.items()}


async def test_a_run_that_is_cancelled_cancels_the_runs_that_its_items_called(database: Database) -> None:
    async with calling(database, script(work=forever), child=graph("work")) as w:
        run_id = await begun(w, graph({"each": call(**each(most=2))}), [0, 0, 0])
        called: list[Run] = []

        async def are_there() -> bool:
            called[:] = await children(w, run_id)
            return len(called) == 2

        await until(are_there)
        await w.cancel(run_id)
        await w.ended(run_id)
        for run in called:
            assert told(await w.ended(run.id))[-1] == "RunCanceled"
        assert len(await children(w, run_id)) == 2


async def test_a_sub_run_that_fails_takes_its_item_only_and_with_fail_cancels_those_of_the_others(
    database: Database,
) -> None:
    async def work(_: NodeContext) -> None:
        await asyncio.Event().wait()

    async def fail(_: NodeContext) -> None:
        raise NodeFault("NO", "no")

    child = graph({"bad": {"when": "input == 1"}, "work": {"when": "input != 1"}})
    async with calling(database, script(work=work, bad=fail), child=child) as w:
        run_id = await begun(w, graph({"each": call(given="{{ item }}", **each())}), [0, 1, 2])
        events = await w.ended(run_id)
        assert whole(events, NodeFailed).failure.item_index == 1
        for run in await children(w, run_id):
            await w.ended(run.id)
        statuses = Counter(run.status for run in await children(w, run_id))
        assert statuses == {RunStatus.FAILED: 1, RunStatus.CANCELED: 2}
