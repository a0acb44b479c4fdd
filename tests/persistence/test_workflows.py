from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select, text
from uuid_utils.compat import uuid7

from domain.drafts import canonical_json
from domain.errors import AlreadyExists, Conflict, CursorInvalid, InUse, InvalidInput, NotFound
from domain.ids import GraphId, WorkflowId
from domain.layout import layout_of
from domain.ports.paging import PageRequest
from domain.ports.repositories import WorkflowRow
from domain.problems import Problem
from domain.workflow import (
    Definition,
    Graph,
    GraphNode,
    OutputField,
    Position,
    WorkflowFilter,
    WorkflowOrder,
    WorkflowOrderField,
)
from persistence.definitions import Definitions
from persistence.tables import graphs, node_runs, run_events, runs, workflows
from persistence.workflows import PostgresWorkflows
from tests.support.identity import START, make_principal
from tests.support.listed import sole

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.workflow import Workflow
    from persistence.database import Database

EVERYTHING = WorkflowFilter()


@pytest.fixture
def store(database: Database) -> PostgresWorkflows:
    return PostgresWorkflows(database)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


def home(actor: Principal) -> WorkspaceId:
    return next(iter(actor.roles))


def definition(value: Any = 1, *, x: float = 0) -> Definition:
    config = {"transform": {"fields": [{"name": "a", "value": value}]}}
    return Definition(graph=Graph(nodes=(GraphNode(key="a", config=config, position=Position(x=x, y=0)),)))


def row(actor: Principal, slug: str = "tale", **more: Any) -> WorkflowRow:
    fields: dict[str, Any] = {
        "id": WorkflowId(uuid7()),
        "workspace_id": home(actor),
        "slug": slug,
        "name": slug.title(),
        "description": None,
        "definition": definition(),
        "problems": (),
        "updated_at": START,
        "updated_by": actor.user.id,
    }
    fields |= more
    fields.setdefault("layout", layout_of(fields["definition"].graph))
    return WorkflowRow(**fields)


async def count(database: Database, table: Any) -> int:
    async with database.connection() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def add_run(database: Database, workflow: Workflow, status: str) -> Any:
    run_id = uuid7()
    async with database.connection() as connection:
        await connection.execute(
            insert(runs).values(
                id=run_id, workspace_id=workflow.workspace_id, workflow_id=workflow.id, graph_id=workflow.graph_id,
                status=status, node_count=1, trigger="MANUAL",
            )
        )  # fmt: skip
        await connection.execute(
            insert(run_events).values(run_id=run_id, seq=1, event_key="RunQueued", type="RunQueued", at=START)
        )
        await connection.execute(
            insert(node_runs).values(
                run_id=run_id, node_key="a", item_index=-1, status="PENDING", attempts=0, first_seq=1
            )
        )
    return run_id


async def test_a_stored_workflow_is_read_back_with_everything(store: PostgresWorkflows, ada: Principal) -> None:
    problem = Problem(
        "CODE",
        "Message.",
        is_error=False,
        node_key="a",
        edge=("a", "out", "b"),
        path=("config", "0"),
        hint="Hint.",
        is_structural=True,
    )
    given = row(ada, description="Long.", problems=(problem, Problem("OTHER", "Other.")))
    stored = await store.add(given)
    assert (stored.revision, stored.created_at, stored.updated_at) == (1, START, START)
    assert stored.problems == given.problems
    assert not stored.is_runnable
    assert stored.definition == given.definition
    within = frozenset({home(ada)})
    assert await store.find(within, stored.id) == stored
    assert await store.find_by_slug(home(ada), "tale") == stored
    assert await PostgresWorkflows(store._database).find(within, stored.id) == stored
    assert await store.find(frozenset(), stored.id) is None
    assert await store.find_by_slug(home(ada), "other") is None


async def test_equal_definitions_are_stored_once_in_a_workspace_and_apart_in_others(
    store: PostgresWorkflows, ada: Principal, database: Database
) -> None:
    eve = await make_principal(database, "eve")
    first, second, other = await store.add(row(ada)), await store.add(row(ada, "b")), await store.add(row(eve))
    changed = await store.add(row(ada, "c", definition=definition(2)))
    assert first.graph_id == second.graph_id
    assert len({first.graph_id, changed.graph_id, other.graph_id}) == 3
    assert await count(database, graphs) == 3


async def test_a_graph_laid_out_differently_is_the_same_graph(
    store: PostgresWorkflows, ada: Principal, database: Database
) -> None:
    left, right = await store.add(row(ada)), await store.add(row(ada, "b", definition=definition(x=1)))
    assert left.graph_id == right.graph_id
    assert await count(database, graphs) == 1
    for reader in (store, PostgresWorkflows(database)):
        found = await reader.list_by_id(frozenset({home(ada)}), [left.id, right.id])
        assert {one.id: one.definition for one in found} == {left.id: definition(x=0), right.id: definition(x=1)}
        assert layout_of((await reader.definition(left.graph_id)).graph) == {}
    assert await store.layouts([left.id, right.id, WorkflowId(uuid7())]) == {
        left.id: {"a": Position(x=0, y=0)},
        right.id: {"a": Position(x=1, y=0)},
    }


async def test_saving_changes_the_layout_of_the_nodes_that_it_names_and_of_no_others(
    store: PostgresWorkflows, ada: Principal
) -> None:
    nodes = tuple(GraphNode(key=key, config={"transform": {}}, position=Position(x=1, y=2)) for key in "abcd")
    graph = Definition(graph=Graph(nodes=nodes))
    stored = await store.add(row(ada, definition=graph))
    patch = {"a": Position(x=-1.5, y=1e300), "b": None, "absent": None}
    saved = await store.save(row(ada, id=stored.id, definition=graph, layout=patch), 1)
    assert layout_of(saved.definition.graph) == {
        "a": Position(x=-1.5, y=1e300),
        "c": Position(x=1, y=2),
        "d": Position(x=1, y=2),
    }
    assert saved.graph_id == stored.graph_id
    assert await store.find(frozenset({home(ada)}), stored.id) == saved


async def test_a_node_that_is_renamed_stays_where_it_is_by_then(store: PostgresWorkflows, ada: Principal) -> None:
    nodes = tuple(GraphNode(key=key, config={"transform": {}}, position=Position(x=1, y=2)) for key in "ab")
    stored = await store.add(row(ada, definition=Definition(graph=Graph(nodes=nodes))))
    await store.move(stored.id, home(ada), {"a": Position(x=7, y=8)}, ada.user.id)  # between reading and saving
    renamed = Definition(graph=Graph(nodes=tuple(GraphNode(key=key, config={"transform": {}}) for key in "cde")))
    patch = {"a": None, "c": "a", "b": None, "d": "b", "e": "gone"}
    saved = await store.save(row(ada, id=stored.id, definition=renamed, layout=patch), 1)
    assert layout_of(saved.definition.graph) == {"c": Position(x=7, y=8), "d": Position(x=1, y=2)}


async def test_what_was_hashed_is_what_is_stored(store: PostgresWorkflows, ada: Principal, database: Database) -> None:
    value = {"z": 1.0, "a": [10**18, "ü😀", -0.0], "m": {"y": None, "x": True}}
    stored = await store.add(row(ada, definition=definition(value)))
    async with database.connection() as connection:
        written = (await connection.execute(text("SELECT definition::text FROM graphs"))).scalar_one()
    assert written.encode() == canonical_json(stored.definition)
    read = await PostgresWorkflows(database).definition(stored.graph_id)
    assert json.dumps(read.graph.nodes[0].values) == json.dumps(definition(value).graph.nodes[0].values)


async def test_the_order_of_keys_makes_another_definition_since_it_makes_another_prompt(
    store: PostgresWorkflows, ada: Principal
) -> None:
    one = await store.add(row(ada, "one", definition=definition({"a": 1, "b": 2})))
    two = await store.add(row(ada, "two", definition=definition({"b": 2, "a": 1})))
    assert one.graph_id != two.graph_id


@pytest.mark.parametrize("value", ["\0", "\ud800", float("nan"), 2**70])
async def test_a_value_that_the_database_cannot_hold_is_refused(
    store: PostgresWorkflows, ada: Principal, database: Database, value: object
) -> None:
    with pytest.raises(InvalidInput):
        await store.add(row(ada, definition=Definition(output=(OutputField(name="x", value={"deep": [value]}),))))
    assert await count(database, graphs) == 0


async def test_saving_counts_the_revision_up(store: PostgresWorkflows, ada: Principal) -> None:
    stored = await store.add(row(ada))
    later = START + timedelta(hours=1)
    saved = await store.save(row(ada, "saga", id=stored.id, definition=definition(2), updated_at=later), 1)
    assert (saved.revision, saved.slug, saved.created_at, saved.updated_at) == (2, "saga", START, later)
    assert saved.definition == definition(2)
    assert await store.find(frozenset({home(ada)}), stored.id) == saved


async def test_of_many_savers_with_one_revision_one_wins(store: PostgresWorkflows, ada: Principal) -> None:
    stored = await store.add(row(ada))
    outcomes = await asyncio.gather(
        *(store.save(row(ada, id=stored.id, definition=definition(value)), 1) for value in range(8)),
        return_exceptions=True,
    )
    losers = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert len(losers) == 7
    assert {(loser.current_revision, loser.changed_by) for loser in losers} == {(2, ada.user.id)}
    (winner,) = (outcome for outcome in outcomes if not isinstance(outcome, BaseException))
    assert await store.find(frozenset({home(ada)}), stored.id) == winner


async def test_a_workflow_of_another_workspace_is_neither_saved_nor_removed(
    store: PostgresWorkflows, ada: Principal, database: Database
) -> None:
    eve = await make_principal(database, "eve")
    stored = await store.add(row(ada))
    for attempt in (store.save(row(eve, id=stored.id), 1), store.remove(stored.id, home(eve))):
        with pytest.raises(NotFound):
            await attempt
    assert await store.find(frozenset({home(ada)}), stored.id) == stored


async def test_a_slug_is_unique_in_a_workspace(store: PostgresWorkflows, ada: Principal, database: Database) -> None:
    await store.add(row(ada))
    other = await store.add(row(ada, "other"))
    await store.add(row(await make_principal(database, "eve")))
    with pytest.raises(AlreadyExists):
        await store.add(row(ada))
    with pytest.raises(AlreadyExists):
        await store.save(row(ada, "tale", id=other.id), 1)
    assert await store.find_by_slug(home(ada), "other") == other
    assert await count(database, workflows) == 3


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "WAITING", "PAUSED", "CANCELING"])
async def test_a_workflow_with_an_unfinished_run_is_not_removed(
    store: PostgresWorkflows, ada: Principal, database: Database, status: str
) -> None:
    stored = await store.add(row(ada))
    await add_run(database, stored, status)
    with pytest.raises(InUse):
        await store.remove(stored.id, home(ada))
    assert await store.find(frozenset({home(ada)}), stored.id) == stored
    assert await count(database, run_events) == 1


async def test_removing_a_workflow_removes_its_finished_runs_and_no_others(
    store: PostgresWorkflows, ada: Principal, database: Database
) -> None:
    stored, other = await store.add(row(ada)), await store.add(row(ada, "other"))
    for status in ("SUCCEEDED", "FAILED", "CANCELED", "CRASHED"):
        await add_run(database, stored, status)
    await add_run(database, other, "RUNNING")
    await store.remove(stored.id, home(ada))
    assert [await count(database, table) for table in (workflows, runs, run_events, node_runs)] == [1, 1, 1, 1]
    with pytest.raises(NotFound):
        await store.remove(stored.id, home(ada))


async def test_problems_are_replaced_only_while_the_revision_is_the_same(
    store: PostgresWorkflows, ada: Principal
) -> None:
    stored = await store.add(row(ada, problems=(Problem("CODE", "Message."),)))
    assert await store.save_problems(stored, ())
    found = await store.find(frozenset({home(ada)}), stored.id)
    assert found is not None
    assert (found.problems, found.is_runnable, found.revision) == ((), True, 1)
    await store.save(row(ada, id=stored.id, problems=(Problem("NEW", "New."),)), 1)
    assert not await store.save_problems(stored, ())
    found = await store.find(frozenset({home(ada)}), stored.id)
    assert found is not None
    assert [problem.code for problem in found.problems] == ["NEW"]


async def test_pages_follow_each_other_in_every_order_and_both_directions(
    store: PostgresWorkflows, ada: Principal
) -> None:
    names = ["beta", "alpha", "delta", "alpha", "gamma"]
    for number, name in enumerate(names):
        await store.add(row(ada, f"s{number}", name=name, updated_at=START + timedelta(microseconds=number)))
    expected = {
        WorkflowOrderField.NAME: ["s1", "s3", "s0", "s2", "s4"],
        WorkflowOrderField.CREATED_AT: ["s0", "s1", "s2", "s3", "s4"],
        WorkflowOrderField.UPDATED_AT: ["s0", "s1", "s2", "s3", "s4"],
    }
    for field, slugs in expected.items():
        for is_descending in (False, True):
            order, found, after = WorkflowOrder(field, is_descending), list[str](), None
            while True:
                page = await sole(store.page_by_workspace([home(ada)], EVERYTHING, order, PageRequest(2, after=after)))
                found += [workflow.slug for workflow in page.items]
                if not page.has_next:
                    break
                after = page.cursors[-1]
            assert found == (slugs[::-1] if is_descending else slugs)
    last = await sole(
        store.page_by_workspace([home(ada)], EVERYTHING, WorkflowOrder(), PageRequest(2, is_backward=True))
    )
    assert ([one.slug for one in last.items], last.has_previous) == (["s2", "s4"], True)
    with pytest.raises(CursorInvalid):
        await sole(store.page_by_workspace([home(ada)], EVERYTHING, WorkflowOrder(), PageRequest(2, after="nonsense")))


async def test_filters_choose(store: PostgresWorkflows, ada: Principal, database: Database) -> None:
    await store.add(row(ada, "a", name="Invoice 100%"))
    await store.add(row(ada, "b", name="Other", description="about INVOICES"))
    await store.add(row(ada, "c", name="Third", problems=(Problem("CODE", "Message."),)))
    await store.add(row(await make_principal(database, "eve"), "invoice"))
    cases = {
        WorkflowFilter(search="invoice"): ["a", "b"],
        WorkflowFilter(search="0%"): ["a"],
        WorkflowFilter(search="%"): ["a"],
        WorkflowFilter(slugs=("b", "c", "x")): ["b", "c"],
        WorkflowFilter(slugs=()): [],
        WorkflowFilter(is_runnable=False): ["c"],
        EVERYTHING: ["a", "b", "c"],
    }
    for chosen, slugs in cases.items():
        order = WorkflowOrder(WorkflowOrderField.CREATED_AT)
        page = await sole(store.page_by_workspace([home(ada)], chosen, order, PageRequest(10)))
        assert sorted(workflow.slug for workflow in page.items) == slugs
        assert await sole(store.count_by_workspace([home(ada)], chosen)) == len(slugs)


async def test_a_definition_that_does_not_exist_is_not_found(store: PostgresWorkflows) -> None:
    with pytest.raises(NotFound):
        await store.definition(GraphId(uuid7()))


async def test_definitions_are_kept_parsed_up_to_a_size(ada: Principal, database: Database) -> None:
    kept = Definitions(kept_bytes=3_000)
    async with database.connection() as connection:
        ids = [await kept.store(connection, home(ada), definition(letter * 1_300)) for letter in "abc"]
        assert [kept.kept(graph_id) is not None for graph_id in ids] == [False, True, True]
        read = await kept.read(connection, ids)
    assert [read[graph_id].graph.nodes[0].values["fields"][0]["value"][0] for graph_id in ids] == ["a", "b", "c"]
    assert kept.kept(ids[0]) is read[ids[0]]
