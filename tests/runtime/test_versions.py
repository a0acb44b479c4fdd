from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.connections import HttpAuthScheme, HttpAuthSettings
from domain.data_tables import ColumnType, DataColumn
from domain.errors import Conflict, Forbidden, GraphHasProblems, InUse, InvalidInput, NotFound
from domain.identity import Role
from domain.ports.paging import PageRequest
from domain.uses import NodeUse, Usable, UseKind
from domain.workflow import (
    Definition,
    Graph,
    GraphNode,
    OutputField,
    WorkflowChange,
    WorkflowDraft,
    WorkflowFilter,
    WorkflowOrder,
    WorkflowSettings,
)
from runtime.collections import CollectionDraft
from runtime.connections import ConnectionDraft
from tests.support.identity import make_principal
from tests.support.listed import sole
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from domain.identity import Principal
    from domain.workflow import Workflow
    from persistence.database import Database
    from runtime.services import Services


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncGenerator[Services]:
    async with open_test_services(database_url, tmp_path) as services:
        yield services


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


def computing(value: object) -> Definition:
    node = GraphNode(key="a", config={"transform": {"fields": [{"name": "one", "value": value}]}})
    return Definition(
        graph=Graph(nodes=(node,)),
        input_schema={"type": "object"},
        output=(OutputField(name="o", value=value),),
        settings=WorkflowSettings(timeout_ms=1_000, max_parallel_nodes=3),
    )


def searching() -> Definition:
    header = {"name": "X-Key", "value": "{{ secrets.KEY }}"}
    fetch = {"url": "https://api.example", "headers": [header], "connection": "api"}
    nodes = (
        GraphNode(key="find", config={"faissSearch": {"collection": "books", "searchText": "x"}}),
        GraphNode(key="fetch", config={"httpRequest": fetch}),
        GraphNode(
            key="keep",
            config={
                "dbWrite": {"target": {"dataTable": "rows"}, "values": [{"column": "text", "value": "x"}]},
            },
        ),
    )
    return Definition(graph=Graph(nodes=nodes))


async def made(services: Services, actor: Principal, definition: Definition, name: str = "Tale") -> Workflow:
    return await services.workflows.create(actor, None, WorkflowDraft(name, definition=definition))


async def test_a_version_that_is_restored_is_the_draft_again_in_a_new_revision(
    services: Services, ada: Principal
) -> None:
    workflow = await made(services, ada, computing(1))
    await services.versions.publish(ada, workflow.id, 1, "First.")
    change = WorkflowChange(
        graph=Graph(), input_schema=None, output=(), settings={"timeoutMs": None, "maxTokens": None}
    )
    edited = await services.workflows.update(ada, workflow.id, 1, change)
    assert edited.has_unpublished_changes
    restored = await services.versions.restore(ada, workflow.id, 2, 1)
    assert (restored.revision, restored.graph_id) == (3, workflow.graph_id)
    assert not restored.has_unpublished_changes
    assert restored.definition == workflow.definition
    with pytest.raises(NotFound) as caught:
        await services.versions.restore(ada, workflow.id, 3, 2)
    assert caught.value.path == ["input", "number"]
    with pytest.raises(Conflict):
        await services.versions.restore(ada, workflow.id, 2, 1)
    assert await services.workflows.get(ada, workflow.id) == restored


async def test_a_draft_with_an_error_a_stale_revision_or_a_bad_note_publishes_nothing(
    services: Services, ada: Principal
) -> None:
    workflow = await made(services, ada, searching())
    with pytest.raises(GraphHasProblems) as caught:
        await services.versions.publish(ada, workflow.id, 1, None)
    assert {problem.code for problem in caught.value.problems} >= {"UNKNOWN_COLLECTION", "UNKNOWN_SECRET"}
    sound = await made(services, ada, computing(1))
    with pytest.raises(Conflict) as stale:
        await services.versions.publish(ada, sound.id, 2, None)
    assert (stale.value.current_revision, stale.value.changed_by) == (1, ada.user.id)
    for note in ("x" * 10_001, "nul \0"):
        with pytest.raises(InvalidInput):
            await services.versions.publish(ada, sound.id, 1, note)
    assert [await sole(services.versions.count_by_workflow([one.id])) for one in (workflow, sound)] == [0, 0]


async def test_who_may_only_read_neither_publishes_nor_restores(services: Services, ada: Principal) -> None:
    workflow = await made(services, ada, computing(1))
    await services.versions.publish(ada, workflow.id, 1, None)
    viewer = replace(ada, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    with pytest.raises(Forbidden):
        await services.versions.publish(viewer, workflow.id, 1, None)
    with pytest.raises(Forbidden):
        await services.versions.restore(viewer, workflow.id, 1, 1)
    found = await services.versions.find(viewer, workflow.id, 1)
    assert found is not None
    assert await services.versions.find(replace(ada, roles={}), workflow.id, 1) is None
    assert (await services.workflows.get(ada, workflow.id)).revision == 1


# ── what is used ──


THINGS = {
    UseKind.COLLECTION: "books",
    UseKind.SECRET: "KEY",
    UseKind.CONNECTION: "api",
    UseKind.DATA_TABLE: "rows",
}
CODES = {
    UseKind.COLLECTION: ("UNKNOWN_COLLECTION", "find", "collection"),
    UseKind.SECRET: ("UNKNOWN_SECRET", "fetch", "value"),
    UseKind.CONNECTION: ("UNKNOWN_CONNECTION", "fetch", "connection"),
    UseKind.DATA_TABLE: ("UNKNOWN_DATA_TABLE", "keep", "dataTable"),
}


async def make(services: Services, actor: Principal, kind: UseKind) -> Callable[[], Awaitable[None]]:
    """Make a thing that `searching` uses, and return what deletes it."""
    match kind:
        case UseKind.COLLECTION:
            collection = await services.collections.create(actor, None, CollectionDraft(THINGS[kind]))
            return lambda: services.collections.delete(actor, collection.id)
        case UseKind.SECRET:
            secret = await services.secrets.create(actor, None, THINGS[kind], "value", None)
            return lambda: services.secrets.delete(actor, secret.id)
        case UseKind.CONNECTION:
            settings = HttpAuthSettings(HttpAuthScheme.BEARER, ("https://api.example",))
            connection = await services.connections.create(actor, None, ConnectionDraft(THINGS[kind], settings, "key"))
            return lambda: services.connections.delete(actor, connection.id)
        case _:
            table = await services.data_tables.create(actor, None, "rows", [DataColumn("text", ColumnType.TEXT)])
            return lambda: services.data_tables.delete(actor, table.id)


@pytest.mark.parametrize("kind", THINGS)
async def test_what_published_nodes_use_is_not_deleted_and_what_drafts_use_is_with_a_problem_in_each(
    services: Services, ada: Principal, kind: UseKind
) -> None:
    deletes = {one: await make(services, ada, one) for one in THINGS}
    workflow = await made(services, ada, searching())
    assert workflow.problems == ()
    await services.versions.publish(ada, workflow.id, 1, None)
    code, key, field = CODES[kind]
    with pytest.raises(InUse) as caught:
        await deletes[kind]()
    assert f"`tale.{key}`" in caught.value.message
    assert caught.value.path == ["input", "id"]
    thing = Usable(workflow.workspace_id, kind, THINGS[kind])
    assert await services.versions.uses([thing]) == {thing: [NodeUse(workflow.id, key, True)]}
    emptied = await services.workflows.update(ada, workflow.id, 1, WorkflowChange(graph=computing(1).graph))
    await services.versions.publish(ada, workflow.id, emptied.revision, None)
    back = await services.versions.restore(ada, workflow.id, emptied.revision, 1)
    assert await services.versions.uses([thing]) == {thing: [NodeUse(workflow.id, key, False)]}
    await deletes[kind]()
    runnable = WorkflowFilter(is_runnable=True)
    listed = await sole(
        services.workflows.page_by_workspace([ada.workspace(None)], runnable, WorkflowOrder(), PageRequest(9))
    )
    assert listed.items == []
    lacking = await services.workflows.get(ada, workflow.id)
    assert [(one.code, one.node_key, one.path[-1]) for one in lacking.problems if one.code == code] == [
        (code, key, field)
    ]
    assert lacking.revision == back.revision
    await make(services, ada, kind)
    assert (await services.workflows.get(ada, workflow.id)).is_runnable


async def test_nothing_of_another_workspace_keeps_a_thing_from_being_deleted(
    services: Services, ada: Principal, database: Database
) -> None:
    eve = await make_principal(database, "eve")
    deletes = {kind: await make(services, ada, kind) for kind in THINGS}
    for kind in THINGS:
        await make(services, eve, kind)
    theirs = await made(services, eve, searching())
    await services.versions.publish(eve, theirs.id, 1, None)
    for delete in deletes.values():
        await delete()
    assert (await services.workflows.get(eve, theirs.id)).problems == ()
