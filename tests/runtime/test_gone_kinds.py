"""Drafts with nodes of kinds that went away: told, readable, repaired step by step, and sound again when they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.edits import add_node, remove_node
from domain.errors import GraphHasProblems
from domain.workflow import GraphNode, WorkflowChange, WorkflowDraft
from runtime.drafts import Drafts
from runtime.workflows import WorkflowService
from tests.domain.sample_kinds import KINDS
from tests.runtime.test_workflows import Desk, ada, definition, desk, node

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.workflow import Workflow

__all__ = ["ada", "desk"]
LEFT = {name: kind for name, kind in KINDS.items() if name != "fetch"}


@pytest.fixture
def without(desk: Desk) -> WorkflowService:
    """The same workflows in a process in which `fetch` is not installed."""
    drafts = Drafts(
        desk.stored,
        LEFT,
        secrets=desk.secrets,
        connections=desk.connections,
        data_tables=desk.tables,
        collections=desk.collections,
    )
    return WorkflowService(desk.stored, drafts, LEFT, clock=desk.clock)


async def two_nodes(desk: Desk, ada: Principal) -> Workflow:
    made = await desk.service.create(ada, None, WorkflowDraft("Tale", definition=definition(node("a"), node("b"))))
    assert made.is_runnable
    return made


def told(workflow: Workflow | None) -> list[tuple[str, str | None]]:
    assert workflow is not None
    return [(problem.code, problem.node_key) for problem in workflow.problems]


async def test_a_kind_that_went_away_is_told_when_the_draft_is_read_and_not_when_it_is_back(
    desk: Desk, ada: Principal, without: WorkflowService
) -> None:
    made = await two_nodes(desk, ada)
    found = await without.get(ada, made.id)
    assert told(found) == [("UNKNOWN_KIND", "a"), ("UNKNOWN_KIND", "b")]
    assert found is not None
    assert (found.is_runnable, found.revision, found.definition) == (False, 1, made.definition)
    assert await desk.service.get(ada, made.id) == made


async def test_such_a_draft_is_repaired_step_by_step(desk: Desk, ada: Principal, without: WorkflowService) -> None:
    made = await two_nodes(desk, ada)
    renamed = await without.update(ada, made.id, 1, WorkflowChange(name="Still here"))
    assert (renamed.name, renamed.definition) == ("Still here", made.definition)
    one_left = await without.edit(ada, made.id, 2, lambda before: remove_node(before, "a"))
    assert told(one_left) == [("UNKNOWN_KIND", "b")]
    sound = await without.edit(ada, made.id, 3, lambda before: remove_node(before, "b"))
    assert (told(sound), sound.is_runnable) == ([], True)


async def test_no_node_of_such_a_kind_comes_in_anew(desk: Desk, ada: Principal, without: WorkflowService) -> None:
    made = await two_nodes(desk, ada)
    for stranger in (node("c"), GraphNode(key="d", config={"never": {}})):
        with pytest.raises(GraphHasProblems):
            await without.edit(ada, made.id, 1, lambda before, stranger=stranger: add_node(before, stranger))
    with pytest.raises(GraphHasProblems):
        await without.update(ada, made.id, 1, WorkflowChange(graph=definition(node("a", tries=2)).graph))
    assert await desk.service.get(ada, made.id) == made
