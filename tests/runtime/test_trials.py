from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from domain.errors import GraphHasProblems, InvalidInput, NotFound
from domain.ids import RunId
from domain.problems import Problem
from domain.run import TriggerKind
from tests.support.desk import NO, Desk, counting, desk
from tests.support.engines import names, world
from tests.support.kinds import failing, graph, script

if TYPE_CHECKING:
    from domain.ids import WorkflowId
    from persistence.database import Database


async def try_node(d: Desk, workflow_id: WorkflowId, key: str, run_id: RunId | None = None) -> RunId:
    return (await d.service.try_node(d.actor, workflow_id, key, run_id)).id


async def test_a_trial_runs_one_node_of_the_draft_on_what_was_recorded(database: Database) -> None:
    counts: dict[str, int] = {}
    kind = script(a=counting(counts, "a", "seen"), c=counting(counts, "c"))
    async with world(database, kind) as w:
        d = await desk(w, kind)
        workflow = await d.shelf.add(graph("a b c", "a>b", "b>c"))
        run = await d.runs.start(d.actor, workflow, {"q": 5})
        await w.ended(run.id)
        edited = {"a": {}, "b": {"step": "none", "value": ["{{ nodes.a.output }}", "{{ input.q }}"]}, "c": {}}
        await d.shelf.edit(workflow, graph(edited, "a>b", "b>c", output={"x": "{{ nodes.c.output }}"}))
        trial = await try_node(d, workflow, "b")
        log = await w.ended(trial)
        assert names(log) == [
            "RunQueued",
            "NodeReused a",
            "RunStarted",
            "NodeStarted b",
            "NodeSucceeded b",
            "RunSucceeded",
        ]
        assert await d.output(trial) == {"b": ["seen", 5]}
        assert counts == {"a": 1, "c": 1}
        stored = (await w.reader.find_many(frozenset({w.workspace_id}), [trial]))[0]
        assert (stored.trigger, stored.rerun_of, stored.node_count) == (TriggerKind.TRY_NODE, run.id, 2)


async def test_a_trial_goes_by_the_latest_run_that_is_no_trial(database: Database) -> None:
    kind = script()
    nodes = {"a": {"value": "{{ input }}"}, "b": {"value": "{{ nodes.a.output }}"}}
    async with world(database, kind) as w:
        d = await desk(w, kind)
        workflow = await d.shelf.add(graph(nodes, "a>b"))
        for given in ("old", "new"):
            run = await d.runs.start(d.actor, workflow, given)
            await w.ended(run.id)
        await w.ended(await try_node(d, workflow, "a"))
        trial = await try_node(d, workflow, "b")
        await w.ended(trial)
        assert await d.output(trial) == {"b": "new"}


async def test_a_node_that_the_recorded_run_left_out_is_tried_all_the_same(database: Database) -> None:
    kind = script(a=failing(9, NO))
    nodes = {
        "a": {"onError": {"mode": "BRANCH"}, "retry": {"maximumAttempts": 1}},
        "good": {"value": "tried"},
        "bad": {"value": "{{ error.message }}"},
    }
    async with world(database, kind) as w:
        d = await desk(w, kind)
        workflow = await d.shelf.add(graph(nodes, "a>good", "a.error>bad"))
        run = await d.runs.start(d.actor, workflow, None)
        await w.ended(run.id)
        outputs: list[Any] = []
        for key in ("good", "bad"):
            trial = await try_node(d, workflow, key)
            await w.ended(trial)
            outputs.append(await d.output(trial))
        assert outputs == [{"good": "tried"}, {"bad": "It does not work."}]


async def test_missing_outputs_are_named_and_nothing_is_written(database: Database) -> None:
    kind = script(a=failing(9, NO))
    nodes = {"a": {"retry": {"maximumAttempts": 1}}, "b": {"value": "{{ nodes.a.output }}"}}
    async with world(database, kind) as w:
        d = await desk(w, kind)
        workflow = await d.shelf.add(graph(nodes, "a>b"))
        with pytest.raises(NotFound) as none_yet:
            await try_node(d, workflow, "b")
        assert "run the workflow first" in none_yet.value.message
        run = await d.runs.start(d.actor, workflow, None)
        await w.ended(run.id)
        with pytest.raises(InvalidInput, match="`a`") as caught:
            await try_node(d, workflow, "b")
        assert caught.value.path == ["input", "runId"]
        with pytest.raises(InvalidInput, match="no node"):
            await try_node(d, workflow, "z")
        with pytest.raises(NotFound):
            await try_node(d, workflow, "b", RunId(uuid7()))
        assert await d.run_count() == 1


async def test_a_trial_may_go_by_a_run_of_the_workflow_that_the_draft_was_copied_from(database: Database) -> None:
    kind = script()
    nodes = {"a": {"value": "copied"}, "b": {"value": "{{ nodes.a.output }}"}}
    async with world(database, kind) as w:
        d = await desk(w, kind)
        other = await d.ran(graph(nodes, "a>b"))
        workflow = await d.shelf.add(graph(nodes, "a>b"))
        trial = await try_node(d, workflow, "b", other)
        await w.ended(trial)
        assert await d.output(trial) == {"b": "copied"}
        (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [trial])
        assert (run.workflow_id, run.rerun_of) == (workflow, other)


async def test_a_trial_cares_for_the_problems_of_its_own_node_alone(database: Database) -> None:
    kind = script()
    async with world(database, kind) as w:
        d = await desk(w, kind)
        workflow = await d.shelf.add(graph("a b"))
        run = await d.runs.start(d.actor, workflow, None)
        await w.ended(run.id)
        await d.shelf.edit(workflow, graph("a b"), Problem("UNKNOWN_REFERENCE", "No.", node_key="a"))
        with pytest.raises(GraphHasProblems):
            await try_node(d, workflow, "a")
        await w.ended(await try_node(d, workflow, "b"))
