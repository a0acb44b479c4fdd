from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, select, text
from uuid_utils.compat import uuid7

from domain.audit import AuditAction, Deed
from domain.errors import Conflict, CursorInvalid, InUse, NotFound
from domain.ids import VersionId, WebhookId, WorkflowId
from domain.ports.paging import PageRequest
from domain.ports.repositories import WorkflowRow
from domain.ports.versions import Publication
from domain.uses import NodeUse, Usable, Use, UseKind
from domain.webhooks import Webhook
from domain.workflow import Definition, Graph, GraphNode, Position, Published, WorkflowFilter, WorkflowOrder
from persistence.tables import connections
from persistence.uses import write_uses
from persistence.version_tables import workflow_versions
from persistence.versions import PostgresVersions
from persistence.webhooks import PostgresWebhooks
from persistence.workflows import PostgresWorkflows
from runtime.registry import load_registry
from tests.support.identity import START, make_principal
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.workflow import Workflow
    from persistence.database import Database

KINDS = load_registry().names


class Store:
    """Workflows and their versions, with a caller."""

    def __init__(self, database: Database, actor: Principal) -> None:
        self.database = database
        self.workflows = PostgresWorkflows(database, KINDS)
        self.versions = PostgresVersions(database, KINDS)
        self.actor = actor
        self.home = next(iter(actor.roles))

    def row(self, slug: str, *urls: str, workflow_id: WorkflowId | None = None, **config: Any) -> WorkflowRow:
        """Return a workflow with a node for each URL."""
        nodes = tuple(
            GraphNode(key=f"n{place}", config={"httpRequest": {"url": url, **config}}) for place, url in enumerate(urls)
        )
        return WorkflowRow(
            workflow_id or WorkflowId(uuid7()), self.home, slug, slug.title(), None, Definition(graph=Graph(nodes=nodes)),
            (), START, self.actor.user.id,
        )  # fmt: skip

    async def add(self, slug: str, *urls: str, **config: Any) -> Workflow:
        """Store a workflow."""
        return await self.workflows.add(self.row(slug, *urls, **config))

    async def edit(self, workflow: Workflow, *urls: str, **config: Any) -> Workflow:
        """Store another graph."""
        changed = self.row(workflow.slug, *urls, workflow_id=workflow.id, **config)
        return await self.workflows.save(changed, workflow.revision)

    async def read(self, workflow: Workflow) -> Workflow:
        """Read a workflow as it is now."""
        found = await self.workflows.find(frozenset({self.home}), workflow.id)
        assert found is not None
        return found

    async def connect(self, name: str) -> None:
        """Store a connection."""
        async with self.database.connection() as connection:
            await connection.execute(
                insert(connections).values(id=uuid7(), workspace_id=self.home, name=name, kind="HTTP", settings={})
            )

    def publication(self, note: str | None = None) -> Publication:
        """Return what is said of a version."""
        return Publication(VersionId(uuid7()), note, START + timedelta(hours=1), self.actor.user.id)


@pytest.fixture
async def store(database: Database) -> Store:
    return Store(database, await make_principal(database, "ada"))


async def test_versions_are_numbered_from_one_without_gaps_and_are_what_was_published(store: Store) -> None:
    workflow = await store.add("tale", "https://a.example")
    assert workflow.published is None
    first = await store.versions.publish(workflow, store.publication("First."))
    assert (first.number, first.graph_id, first.note) == (1, workflow.graph_id, "First.")
    assert (first.published_at, first.published_by) == (START + timedelta(hours=1), store.actor.user.id)
    published = await store.read(workflow)
    assert published.published == Published(1, workflow.graph_id)
    assert not published.has_unpublished_changes
    assert published.revision == workflow.revision
    edited = await store.edit(published, "https://b.example")
    assert edited.published == Published(1, workflow.graph_id)
    assert edited.has_unpublished_changes
    second = await store.versions.publish(edited, store.publication())
    assert (second.number, second.graph_id, second.note) == (2, edited.graph_id, None)
    assert await store.versions.list_by_number(frozenset({store.home}), [(workflow.id, 1)]) == [first]
    back = await store.edit(await store.read(workflow), "https://a.example")
    third = await store.versions.publish(back, store.publication())
    assert (third.number, third.graph_id) == (3, first.graph_id)


async def test_what_is_published_already_stays_the_version_that_it_is(store: Store) -> None:
    workflow = await store.add("tale", "https://a.example")
    first = await store.versions.publish(workflow, store.publication("First."))
    again = await store.versions.publish(await store.read(workflow), store.publication("Again."))
    assert again == first
    assert await sole(store.versions.count_by_workflow([workflow.id])) == 1


async def test_of_publications_at_once_one_makes_the_version_and_the_others_get_it(store: Store) -> None:
    workflow = await store.add("tale", "https://a.example")
    made = await asyncio.gather(*(store.versions.publish(workflow, store.publication()) for _ in range(4)))
    assert [version.id for version in made] == [made[0].id] * 4
    assert await sole(store.versions.count_by_workflow([workflow.id])) == 1


async def test_a_draft_that_changed_meanwhile_is_not_published(store: Store) -> None:
    workflow = await store.add("tale", "https://a.example")
    await store.edit(workflow, "https://b.example")
    with pytest.raises(Conflict) as caught:
        await store.versions.publish(workflow, store.publication())
    assert (caught.value.current_revision, caught.value.changed_by) == (2, store.actor.user.id)
    await store.workflows.remove(workflow.id, store.home)
    with pytest.raises(NotFound):
        await store.versions.publish(workflow, store.publication())
    async with store.database.connection() as connection:
        assert (await connection.execute(select(workflow_versions))).all() == []


async def test_a_draft_that_uses_what_is_gone_is_not_published(store: Store) -> None:
    workflow = await store.add("tale", "https://a.example", connection="gone")
    with pytest.raises(Conflict, match="`gone`"):
        await store.versions.publish(workflow, store.publication())
    assert (await store.read(workflow)).published is None
    await store.connect("gone")
    assert (await store.versions.publish(workflow, store.publication())).number == 1


async def test_versions_are_listed_newest_first_page_by_page_and_go_with_their_workflow(store: Store) -> None:
    workflow = await store.add("tale", "https://0.example")
    for place in range(1, 4):
        await store.versions.publish(workflow, store.publication())
        workflow = await store.edit(workflow, f"https://{place}.example")
    page = await sole(store.versions.page_by_workflow([workflow.id], PageRequest(2)))
    assert [version.number for version in page.items] == [3, 2]
    assert page.has_next
    rest = await sole(store.versions.page_by_workflow([workflow.id], PageRequest(2, after=page.cursors[-1])))
    assert [version.number for version in rest.items] == [1]
    with pytest.raises(CursorInvalid):
        await sole(store.versions.page_by_workflow([workflow.id], PageRequest(2, after="x")))
    await store.workflows.remove(workflow.id, store.home)
    assert await sole(store.versions.count_by_workflow([workflow.id])) == 0


async def test_the_filter_tells_published_workflows_from_others(store: Store) -> None:
    await store.versions.publish(await store.add("told", "https://a.example"), store.publication())
    await store.add("untold")

    async def slugs(is_published: bool | None) -> list[str]:
        chosen = WorkflowFilter(is_published=is_published)
        page = await sole(store.workflows.page_by_workspace([store.home], chosen, WorkflowOrder(), PageRequest(10)))
        assert await sole(store.workflows.count_by_workspace([store.home], chosen)) == len(page.items)
        return [workflow.slug for workflow in page.items]

    assert await slugs(True) == ["told"]
    assert await slugs(False) == ["untold"]
    assert await slugs(None) == ["told", "untold"]


async def test_nobody_sees_the_versions_of_another_workspace(store: Store, database: Database) -> None:
    eve = next(iter((await make_principal(database, "eve")).roles))
    workflow = await store.add("tale", "https://a.example")
    version = await store.versions.publish(workflow, store.publication())

    async def seen(workspace_id: WorkspaceId) -> int:
        within = frozenset({workspace_id})
        by_id = await store.versions.list_by_id(within, [version.id])
        by_number = await store.versions.list_by_number(within, [(workflow.id, 1)])
        return len([*by_id, *by_number])

    assert (await seen(store.home), await seen(eve)) == (2, 0)


# ── uses ──


def connection_named(store: Store, name: str) -> Usable:
    return Usable(store.home, UseKind.CONNECTION, name)


async def test_a_use_is_kept_with_each_save_and_with_each_publication(store: Store) -> None:
    await store.connect("crm")
    crm, other = connection_named(store, "crm"), connection_named(store, "other")

    async def uses() -> list[list[NodeUse]]:
        found = await store.versions.uses([crm, other])
        return [list(found[crm]), list(found[other])]

    workflow = await store.add("tale", "https://a.example", "https://b.example", connection="crm")
    assert await uses() == [[NodeUse(workflow.id, "n0", False), NodeUse(workflow.id, "n1", False)], []]
    await store.versions.publish(workflow, store.publication())
    assert await uses() == [[NodeUse(workflow.id, "n0", True), NodeUse(workflow.id, "n1", True)], []]
    edited = await store.edit(workflow, "https://a.example", connection="other")
    assert await uses() == [
        [NodeUse(workflow.id, "n0", True), NodeUse(workflow.id, "n1", True)],
        [NodeUse(workflow.id, "n0", False)],
    ]
    await store.connect("other")
    await store.versions.publish(edited, store.publication())
    assert await uses() == [[], [NodeUse(workflow.id, "n0", True)]]
    await store.workflows.remove(workflow.id, store.home)
    assert await uses() == [[], []]


async def test_at_most_a_hundred_uses_of_a_thing_are_listed(store: Store) -> None:
    await store.add("tale", *["https://a.example"] * 101, connection="crm")
    crm = connection_named(store, "crm")
    assert len((await store.versions.uses([crm]))[crm]) == 100


async def test_names_longer_than_any_can_be_are_no_uses(store: Store) -> None:
    workflow = await store.add("tale", "https://a.example", connection="x" * 5_000)
    assert await store.read(workflow) == workflow
    assert (await store.versions.uses([connection_named(store, "x" * 5_000)])) == {
        connection_named(store, "x" * 5_000): []
    }


async def test_a_workflow_that_published_nodes_of_others_use_is_not_deleted(store: Store) -> None:
    used, user = await store.add("used", "https://a.example"), await store.add("user", "https://a.example")
    use = [Use(UseKind.WORKFLOW, "used", "n0")]

    async def write(workflow: Workflow, uses: list[Use]) -> None:
        async with store.database.connection() as connection:
            await write_uses(connection, (store.home, workflow.id), uses, is_published=True)

    await write(user, use)
    await write(used, use)
    with pytest.raises(InUse, match=r"`user\.n0`"):
        await store.workflows.remove(used.id, store.home)
    assert await store.read(used) == used
    thing = Usable(store.home, UseKind.WORKFLOW, "used", used.id)
    assert (await store.versions.uses([thing]))[thing] == [NodeUse(user.id, "n0", True)]
    await write(user, [])
    await store.workflows.remove(used.id, store.home)
    assert await store.workflows.find(frozenset({store.home}), used.id) is None


async def test_a_publication_waits_for_the_deletion_of_what_it_uses_and_is_refused_then(store: Store) -> None:
    await store.connect("crm")
    workflow = await store.add("tale", "https://a.example", connection="crm")
    async with store.database.connection() as deleting:
        await deleting.execute(delete(connections))
        publishing = asyncio.create_task(store.versions.publish(workflow, store.publication()), name="publication")
        await until(lambda: is_waiting_for_a_lock(store.database))
        assert not publishing.done()
    with pytest.raises(Conflict, match="`crm`"):
        await publishing
    assert (await store.read(workflow)).published is None


async def is_waiting_for_a_lock(database: Database) -> bool:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.single() as connection:
        return bool((await connection.execute(text(statement))).scalar_one())


async def test_a_version_keeps_the_layout_that_it_was_published_with(store: Store) -> None:
    row = replace(store.row("tale", "https://a.example"), layout={"n0": Position(x=1, y=2)})
    workflow = await store.workflows.add(row)
    version = await store.versions.publish(workflow, store.publication())
    moved = await store.workflows.move(workflow.id, store.home, {"n0": Position(x=3, y=4)}, None)
    assert version.layout == {"n0": Position(x=1, y=2)}
    assert not moved.has_unpublished_changes
    assert await store.versions.publish(moved, store.publication()) == version


@pytest.mark.parametrize("is_webhook", [False, True], ids=["published", "called"])
async def test_what_meets_the_deletion_of_the_workspace_waits_for_it_with_nothing_in_hand_that_it_needs(
    store: Store, is_webhook: bool
) -> None:
    workflow = await store.add("one", "https://a.example")
    webhook = Webhook(WebhookId(uuid7()), store.home, workflow.id, "shop", "wh_x", False, None, START)
    deed = Deed(AuditAction.WEBHOOK_CREATED, START, store.actor.user.id)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    async def is_waiting() -> bool:
        async with store.database.connection() as connection:
            return bool((await connection.execute(waiting)).scalar_one())

    async with store.database.connection() as connection:
        await connection.execute(text("SELECT 1 FROM workspaces FOR UPDATE"))
        if is_webhook:
            late = asyncio.ensure_future(PostgresWebhooks(store.database).add(webhook, b"hash", None, deed))
        else:
            late = asyncio.ensure_future(store.versions.publish(workflow, store.publication()))
        await until(is_waiting)
        await connection.execute(text("SELECT 1 FROM workflows FOR UPDATE NOWAIT"))
        await connection.execute(text("DELETE FROM workflows"))
        await connection.execute(text("DELETE FROM workspaces"))
    with pytest.raises(NotFound):
        await late
