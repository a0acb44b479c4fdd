from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import Forbidden, GraphHasProblems, InvalidInput, NotFound, WorkspaceRequired
from domain.identity import Role
from domain.workflow import (
    Definition,
    Graph,
    GraphEdge,
    GraphNode,
    WorkflowChange,
    WorkflowDraft,
    WorkflowFilter,
)
from persistence.workflows import PostgresWorkflows
from runtime.drafts import Drafts
from runtime.workflows import WorkflowService, slug_of
from tests.domain.sample_kinds import KINDS
from tests.support.identity import Clock, make_principal
from tests.support.listed import sole

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from persistence.database import Database


class Names:
    """Names that a test sets."""

    def __init__(self) -> None:
        self.known = frozenset[str]()
        self.asked = 0

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names."""
        del workspace_id
        self.asked += 1
        return self.known


class Tables:
    """Tables that a test sets."""

    def __init__(self) -> None:
        self.known = dict[str, frozenset[str]]()

    async def columns(self, workspace_id: WorkspaceId) -> dict[str, frozenset[str]]:
        """Return the columns of each."""
        del workspace_id
        return self.known


class Desk:
    """A service with its stores."""

    def __init__(self, database: Database) -> None:
        self.secrets, self.connections, self.collections = Names(), Names(), Names()
        self.tables, self.clock = Tables(), Clock()
        self.stored = PostgresWorkflows(database)
        self.drafts = Drafts(
            self.stored,
            KINDS,
            secrets=self.secrets,
            connections=self.connections,
            data_tables=self.tables,
            collections=self.collections,
        )
        self.service = WorkflowService(self.stored, self.drafts, KINDS, clock=self.clock)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


def definition(*nodes: GraphNode, edges: tuple[GraphEdge, ...] = (), **more: Any) -> Definition:
    return Definition(graph=Graph(nodes=nodes, edges=edges), **more)


def node(key: str, **config: Any) -> GraphNode:
    return GraphNode(key=key, config={"fetch": {"url": "https://example.com", **config}})


async def test_what_goes_without_saying_is_not_stored(desk: Desk, ada: Principal) -> None:
    written = node("a", tries=1, connection=None, headers=[{"name": "x", "value": "y"}], isMagic=False)
    made = await desk.service.create(ada, None, WorkflowDraft("Tale", definition=definition(written)))
    assert made.definition.graph.nodes[0].values == {
        "url": "https://example.com",
        "headers": [{"name": "x", "value": "y"}],
    }
    other = await desk.service.create(ada, None, WorkflowDraft("Other", definition=definition(node("a", headers=[{"value": "y", "name": "x"}]))))  # fmt: skip
    assert other.graph_id == made.graph_id


async def test_a_structural_problem_is_refused_and_nothing_is_stored(desk: Desk, ada: Principal) -> None:
    broken = definition(node("a"), edges=(GraphEdge(source="a", target="a"),))
    with pytest.raises(GraphHasProblems) as caught:
        await desk.service.create(ada, None, WorkflowDraft("Tale", definition=broken))
    assert [problem.code for problem in caught.value.problems] == ["CYCLE"]
    made = await desk.service.create(ada, None, WorkflowDraft("Tale"))
    with pytest.raises(GraphHasProblems):
        await desk.service.update(ada, made.id, 1, WorkflowChange(name="New", graph=broken.graph))
    assert await desk.service.get(ada, made.id) == made


async def test_a_change_of_the_input_schema_is_checked_with_the_graph_that_stays(desk: Desk, ada: Principal) -> None:
    asks = node("a", url="https://x/{{ input.question }}")
    made = await desk.service.create(ada, None, WorkflowDraft("Tale", definition=definition(asks)))
    schema: Any = {"type": "object", "properties": {"answer": {}}, "additionalProperties": False}
    changed = await desk.service.update(ada, made.id, 1, WorkflowChange(input_schema=schema))
    assert [problem.code for problem in changed.problems] == ["UNKNOWN_REFERENCE"]
    assert not changed.is_runnable
    with pytest.raises(InvalidInput):
        await desk.service.update(ada, made.id, 2, WorkflowChange(input_schema={"type": 3}))


async def test_a_missing_name_is_looked_for_again_when_the_draft_is_read(desk: Desk, ada: Principal) -> None:
    made = await desk.service.create(
        ada, None, WorkflowDraft("Tale", definition=definition(node("a", connection="api")))
    )
    assert [problem.code for problem in made.problems] == ["UNKNOWN_CONNECTION"]
    desk.connections.known = frozenset({"api"})
    found = await desk.drafts.find(ada.within(), made.id)
    assert found is not None
    assert (found.problems, found.is_runnable, found.revision) == ((), True, 1)
    stored = await desk.stored.find(ada.within(), made.id)
    assert stored == found
    asked = desk.connections.asked
    await desk.drafts.find(ada.within(), made.id)
    assert desk.connections.asked == asked  # a sound draft costs no look


async def test_viewers_read_but_do_not_write(desk: Desk, ada: Principal) -> None:
    made = await desk.service.create(ada, None, WorkflowDraft("Tale"))
    viewer = replace(ada, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    assert await desk.service.get(viewer, made.id) == made
    with pytest.raises(Forbidden):
        await desk.service.create(viewer, None, WorkflowDraft("Other"))
    with pytest.raises(Forbidden):
        await desk.service.update(viewer, made.id, 1, WorkflowChange(name="Other"))
    with pytest.raises(Forbidden):
        await desk.service.delete(viewer, made.id)
    assert await desk.service.get(ada, made.id) == made


async def test_strangers_find_nothing(desk: Desk, ada: Principal, database: Database) -> None:
    eve = await make_principal(database, "eve")
    made = await desk.service.create(ada, None, WorkflowDraft("Tale"))
    home = made.workspace_id
    assert await desk.service.find(eve, made.id) is None
    assert await desk.service.list_by_id(eve, [made.id]) == {}
    assert await desk.service.list_by_id(ada, [made.id]) == {made.id: made}
    refused = [
        desk.service.create(eve, home, WorkflowDraft("Mine")),
        desk.service.update(eve, made.id, 1, WorkflowChange(name="Mine")),
        desk.service.delete(eve, made.id),
        desk.service.find_by_slug(eve, home, "tale"),
        desk.service.validate(eve, home, [], []),
    ]
    for attempt in refused:
        with pytest.raises(NotFound):
            await attempt
    assert await desk.service.get(ada, made.id) == made


async def test_a_caller_of_two_workspaces_must_name_one(desk: Desk, ada: Principal, database: Database) -> None:
    eve = await make_principal(database, "eve")
    both = replace(ada, roles={**ada.roles, **eve.roles})
    with pytest.raises(WorkspaceRequired):
        await desk.service.create(both, None, WorkflowDraft("Tale"))
    with pytest.raises(WorkspaceRequired):
        await desk.service.validate(both, None, [], [])


async def test_validating_never_saves_and_takes_anything(desk: Desk, ada: Principal) -> None:
    async def codes(nodes: list[Any], edges: list[Any] | None = None) -> list[str]:
        return [problem.code for problem in await desk.service.validate(ada, None, nodes, edges or [])]

    fetch = {"key": "a", "config": {"fetch": {"url": "x"}}}
    assert await codes([fetch]) == []
    assert await codes([{**fetch, "key": "1"}]) == ["INVALID_KEY"]
    assert await codes([fetch, 3]) == ["INVALID_VALUE"]
    assert await codes([{**fetch, "config": {}}]) == ["INVALID_VALUE"]
    assert await codes([fetch] * 10_000) == ["TOO_LARGE"]
    assert await codes([fetch], [{"source": "a", "target": "b"}]) == ["DANGLING_EDGE"]
    assert await sole(desk.service.count_by_workspace([ada.workspace(None)], WorkflowFilter())) == 0


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Ask the library", "ask-the-library"),
        ("Ärger & Übermut!", "arger-ubermut"),
        ("日本語", "workflow"),
        ("x" * 90, "x" * 64),
        ("a" * 63 + " b", "a" * 63),
        ("--", "workflow"),
    ],
)
def test_slugs_are_made_from_names(name: str, slug: str) -> None:
    assert slug_of(name) == slug


async def test_many_workflows_of_one_name_get_slugs_of_their_own(desk: Desk, ada: Principal) -> None:
    slugs = [(await desk.service.create(ada, None, WorkflowDraft("n" * 70))).slug for _ in range(11)]
    assert slugs[:3] == ["n" * 64, "n" * 62 + "-2", "n" * 62 + "-3"]
    assert len(set(slugs)) == 11
    assert all(len(slug) <= 64 for slug in slugs)
