"""What keeps webhooks, and what was delivered to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.ids import WebhookId, WorkflowId, WorkspaceId
    from domain.ports.paging import Page, PageRequest
    from domain.webhooks import CalledWebhook, Delivered, Webhook


class Webhooks(Protocol):
    """Webhooks; of their tokens hashes are kept only. What changes one is in the audit log with the change, or neither is."""

    async def add(self, webhook: Webhook, token_hash: bytes, ciphertext: bytes | None, deed: Deed) -> None:
        """Store a webhook.

        Raises:
            NotFound: the workflow is gone.
            LimitExceeded: the workspace has as many as it may.
        """
        ...

    async def rotate(
        self, webhook: Webhook, prefix: str, token_hash: bytes, ciphertext: bytes | None, deed: Deed
    ) -> Webhook:
        """Give a webhook a new token and key; the ones until now stand for nothing from here on.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def remove(self, webhook: Webhook, deed: Deed) -> None:
        """Delete a webhook; its runs stay.

        Raises:
            NotFound: it is gone.
        """
        ...

    async def list_by_id(self, within: frozenset[WorkspaceId], webhook_ids: Sequence[WebhookId]) -> Sequence[Webhook]:
        """List those of the webhooks that are within, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[Webhook]]:
        """Read the same part of the webhooks of several workspaces, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the webhooks of several workspaces."""
        ...

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], request: PageRequest
    ) -> Mapping[WorkflowId, Page[Webhook]]:
        """Read the same part of the webhooks of several workflows, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, int]:
        """Count the webhooks of several workflows."""
        ...


class WebhookCalls(Protocol):
    """What a call asks for; the runs themselves are the queue's."""

    async def find(self, token_hash: bytes) -> CalledWebhook | None:
        """Find what a token stands for."""
        ...

    async def find_delivery(self, webhook_id: WebhookId, key: str) -> Delivered | None:
        """Find what an earlier call with the same key has started."""
        ...

    async def is_crowded(self, webhook: Webhook, limit: int) -> bool:
        """Tell whether so many runs wait already for room in the workspace, or for a turn of the workflow."""
        ...

    async def sweep(self, before: datetime, limit: int) -> int:
        """Forget deliveries that are older, so many at most; return how many."""
        ...
