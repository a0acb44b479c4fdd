"""Webhooks in PostgreSQL: hashes of their tokens, and their signing keys sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from domain.errors import LimitExceeded, NotFound
from domain.ids import WebhookId, WorkflowId, WorkspaceId
from domain.webhooks import Webhook
from persistence.audit import write_deed
from persistence.paging import read_counts, read_pages
from persistence.tables import workflows, workspaces
from persistence.uses import through
from persistence.webhook_tables import webhooks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Row

    from domain.audit import Deed
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database
    from persistence.paging import Owner

_MAX_WEBHOOKS = 1_000
_IS_SIGNED = webhooks.c.ciphertext.is_not(None).label("is_signed")
_SHOWN: list[ColumnElement[Any]] = [
    *(webhooks.c[name] for name in Webhook.__slots__ if name != "is_signed"),
    _IS_SIGNED,
]


class PostgresWebhooks:
    """Implements `domain.ports.webhooks.Webhooks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, webhook: Webhook, token_hash: bytes, ciphertext: bytes | None, deed: Deed) -> None:
        """Store a webhook.

        Raises:
            NotFound: the workflow is gone.
            LimitExceeded: the workspace has as many as it may.
        """
        values = {name: getattr(webhook, name) for name in Webhook.__slots__ if name != "is_signed"}
        async with self._database.connection() as connection:
            # The workspace's row keeps two additions from both being the last one. It comes first, as in its deletion,
            # which would wait for the workflow's.
            await connection.execute(
                select(workspaces.c.id).where(workspaces.c.id == webhook.workspace_id).with_for_update(key_share=True)
            )
            its_workflow = select(workflows.c.id).where(workflows.c.id == webhook.workflow_id)
            if (await connection.execute(its_workflow.with_for_update(read=True, key_share=True))).first() is None:
                raise NotFound("There is no workflow with this id.", path=["input", "workflowId"])
            counted = select(func.count()).where(webhooks.c.workspace_id == webhook.workspace_id)
            if (await connection.execute(counted)).scalar_one() >= _MAX_WEBHOOKS:
                message = f"A workspace has at most {_MAX_WEBHOOKS:,} webhooks; delete some."
                raise LimitExceeded(message, limit=_MAX_WEBHOOKS)
            await connection.execute(insert(webhooks).values(**values, token_hash=token_hash, ciphertext=ciphertext))
            await write_deed(through(connection), webhook.workspace_id, deed)

    async def rotate(
        self, webhook: Webhook, prefix: str, token_hash: bytes, ciphertext: bytes | None, deed: Deed
    ) -> Webhook:
        """Give a webhook a new token and key; the ones until now stand for nothing from here on.

        Raises:
            NotFound: it is gone.
        """
        new = {"prefix": prefix, "token_hash": token_hash, "ciphertext": ciphertext}
        statement = update(webhooks).where(webhooks.c.id == webhook.id).values(**new).returning(*_SHOWN)
        async with self._database.connection() as connection:
            row = (await connection.execute(statement)).first()
            if row is None:
                raise NotFound(path=["input", "id"])
            await write_deed(through(connection), webhook.workspace_id, deed)
        return webhook_of(row)

    async def remove(self, webhook: Webhook, deed: Deed) -> None:
        """Delete a webhook; its runs stay.

        Raises:
            NotFound: it is gone.
        """
        statement = delete(webhooks).where(webhooks.c.id == webhook.id).returning(webhooks.c.id)
        async with self._database.connection() as connection:
            if (await connection.execute(statement)).first() is None:
                raise NotFound(path=["input", "id"])
            await write_deed(through(connection), webhook.workspace_id, deed)

    async def list_by_id(self, within: frozenset[WorkspaceId], webhook_ids: Sequence[WebhookId]) -> Sequence[Webhook]:
        """List those of the webhooks that are within, in any order."""
        statement = select(*_SHOWN).where(webhooks.c.id.in_(webhook_ids), webhooks.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [webhook_of(row) for row in await connection.execute(statement)]

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[Webhook]]:
        """Read the same part of the webhooks of several workspaces, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._pages(webhooks.c.workspace_id, workspace_ids, request)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the webhooks of several workspaces."""
        async with self._database.single() as connection:
            return await read_counts(connection, webhooks.c.workspace_id, workspace_ids)

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], request: PageRequest
    ) -> Mapping[WorkflowId, Page[Webhook]]:
        """Read the same part of the webhooks of several workflows, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._pages(webhooks.c.workflow_id, workflow_ids, request)

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, int]:
        """Count the webhooks of several workflows."""
        async with self._database.single() as connection:
            return await read_counts(connection, webhooks.c.workflow_id, workflow_ids)

    async def _pages(
        self, owner: ColumnElement[UUID], owner_ids: Sequence[Owner], request: PageRequest
    ) -> dict[Owner, Page[Webhook]]:
        keys = [(webhooks.c.name, str), (webhooks.c.id, UUID)]
        async with self._database.single() as connection:
            return await read_pages(
                connection,
                select(*_SHOWN),
                keys,
                request,
                webhook_of,
                owner=owner,
                owner_ids=owner_ids,
                name="webhooks",
            )


def webhook_of(row: Row[Any]) -> Webhook:
    """Return the webhook of a row."""
    return Webhook(
        id=WebhookId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        workflow_id=WorkflowId(row.workflow_id),
        name=row.name,
        prefix=row.prefix,
        is_signed=row.is_signed,
        last_called_at=row.last_called_at,
        created_at=row.created_at,
    )
