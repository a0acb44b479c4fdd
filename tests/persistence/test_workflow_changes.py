from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from uuid_utils.compat import uuid7

from domain.errors import Conflict, NotFound
from domain.ids import WorkflowId
from domain.workflow import Position
from domain.workflow_changes import WorkflowChangeKind
from persistence.workflow_changes import WORKFLOW_CHANNEL, PostgresWorkflowChanges, record
from persistence.workflows import PostgresWorkflows
from tests.persistence.test_workflows import definition, home, row
from tests.support.identity import make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.workflow import Workflow
    from persistence.database import Database

EDITED, MOVED, DELETED = WorkflowChangeKind.EDITED, WorkflowChangeKind.MOVED, WorkflowChangeKind.DELETED


@pytest.fixture
def store(database: Database) -> PostgresWorkflows:
    return PostgresWorkflows(database)


@pytest.fixture
def changes(database: Database) -> PostgresWorkflowChanges:
    return PostgresWorkflowChanges(database)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


@pytest.fixture
async def tale(store: PostgresWorkflows, ada: Principal) -> Workflow:
    return await store.add(row(ada))


async def test_what_happens_to_a_workflow_is_told_in_its_order(
    store: PostgresWorkflows, changes: PostgresWorkflowChanges, ada: Principal, tale: Workflow
) -> None:
    assert await changes.find_last(tale.id) == 0
    await store.save(row(ada, id=tale.id, definition=definition(2), touched=("a", "b")), 1)
    await store.move(tale.id, home(ada), {"a": Position(x=1, y=1)}, ada.user.id)
    assert await changes.find_last(tale.id) == 2
    await store.remove(tale.id, home(ada), ada.user.id)
    assert await changes.find_last(tale.id) is None
    told = await changes.list(tale.id, 0, 10)
    assert [(one.number, one.kind, one.revision, one.node_keys, one.changed_by) for one in told] == [
        (1, EDITED, 2, ("a", "b"), ada.user.id),
        (2, MOVED, 2, ("a",), ada.user.id),
        (3, DELETED, 2, (), ada.user.id),
    ]
    assert [one.at for one in told] == sorted(one.at for one in told)
    assert await changes.list(tale.id, 1, 1) == [told[1]]
    assert await changes.list(tale.id, 3, 10) == []


async def test_what_was_refused_is_not_told(
    store: PostgresWorkflows, changes: PostgresWorkflowChanges, ada: Principal, tale: Workflow
) -> None:
    with pytest.raises(Conflict):
        await store.save(row(ada, id=tale.id), 7)
    with pytest.raises(NotFound):
        await store.move(tale.id, home(ada), {"a": Position(x=9, y=9), "gone": Position(x=1, y=1)}, ada.user.id)
    with pytest.raises(NotFound):
        await store.move(WorkflowId(uuid7()), home(ada), {"a": Position(x=1, y=1)}, ada.user.id)
    assert (await changes.find_last(tale.id), await changes.list(tale.id, 0, 10)) == (0, [])
    assert await store.find(frozenset({home(ada)}), tale.id) == tale


async def test_nobody_moves_what_is_in_another_workspace(
    store: PostgresWorkflows, database: Database, ada: Principal, tale: Workflow
) -> None:
    eve = await make_principal(database, "eve")
    with pytest.raises(NotFound):
        await store.move(tale.id, home(eve), {"a": Position(x=9, y=9)}, eve.user.id)
    assert await store.find(frozenset({home(ada)}), tale.id) == tale


async def test_changes_at_the_same_time_are_numbered_without_a_gap_and_seen_in_that_order(
    store: PostgresWorkflows, changes: PostgresWorkflowChanges, ada: Principal, tale: Workflow
) -> None:
    seen: list[int] = []

    async def look() -> None:
        while len(seen) < 40:
            seen.extend(one.number for one in await changes.list(tale.id, len(seen), 100))

    async def move(start: int) -> None:
        for x in range(start, start + 10):
            await store.move(tale.id, home(ada), {"a": Position(x=x, y=0)}, None)

    async with asyncio.timeout(30):
        await asyncio.gather(look(), *(move(100 * number) for number in range(4)))
    assert seen == list(range(1, 41))
    last = await store.find(frozenset({home(ada)}), tale.id)
    assert last is not None
    assert (last.revision, last.graph_id) == (1, tale.graph_id)


async def test_what_is_a_day_old_goes_with_the_next_change_of_any_workflow(
    store: PostgresWorkflows, changes: PostgresWorkflowChanges, database: Database, ada: Principal, tale: Workflow
) -> None:
    for _ in range(3):
        await store.move(tale.id, home(ada), {"a": Position(x=1, y=1)}, None)
    async with database.direct() as connection:
        await connection.execute("UPDATE workflow_changes SET at = at - interval '25 hours' WHERE number < 3")
    other = await store.add(row(ada, "other"))
    await store.move(other.id, home(ada), {"a": Position(x=1, y=1)}, None)
    assert [one.number for one in await changes.list(tale.id, 0, 10)] == [3]


async def test_a_wake_up_names_the_workflow_when_the_change_is_there(database: Database, tale: Workflow) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(*told: object) -> None:
        heard.put_nowait(str(told[-1]))

    async with database.direct() as connection:
        await connection.add_listener(WORKFLOW_CHANNEL, hear)
        async with database.connection() as other:
            await record(other, tale.id, EDITED, None)
            await connection.execute("SELECT 1")
            assert heard.empty()
        async with asyncio.timeout(10):
            assert await heard.get() == tale.id.hex
