"""Webhooks for those who make them; tokens and signing keys are shown once."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple, Protocol

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.errors import NotFound
from domain.identity import Permission
from domain.ids import Prefix, WebhookId, to_global
from domain.signatures import KEY_BYTES, key_text
from domain.texts import check_line
from domain.webhooks import MAX_NAME, SHOWN, TOKEN_START, Webhook
from runtime.identity import utc_now
from runtime.tokens import hash_opaque, make_opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Principal
    from domain.ids import WorkflowId, WorkspaceId
    from domain.ports.paging import Page, PageRequest
    from domain.ports.webhooks import Webhooks
    from domain.workflow import Workflow
    from runtime.audit import AuditService
    from runtime.encryption import Vault


class MadeWebhook(NamedTuple):
    """A webhook with what is shown once."""

    webhook: Webhook
    token: str
    signing_key: str | None


class FindsWorkflows(Protocol):
    """What making a webhook reads of workflows."""

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Return a workflow; None where there is none in these workspaces."""
        ...


class WebhookService:
    """Makes, rotates, deletes and lists webhooks on behalf of a caller."""

    def __init__(
        self,
        webhooks: Webhooks,
        workflows: FindsWorkflows,
        vault: Vault,
        audit: AuditService,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._webhooks = webhooks
        self._workflows = workflows
        self._vault = vault
        self._audit = audit
        self._clock = clock

    # ── changing ──

    async def create(self, actor: Principal, workflow_id: WorkflowId, name: str, *, is_signed: bool) -> MadeWebhook:
        """Make a webhook of a workflow, published or not yet.

        Raises:
            NotFound: the caller sees no such workflow.
            Forbidden: the caller may not both change workflows and start runs there.
            InvalidInput: the name is not acceptable.
            LimitExceeded: the workspace has as many as it may.
        """
        workflow = await self._workflows.find(actor.within(), workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", "workflowId"])
        _demand(actor, workflow.workspace_id)
        token = TOKEN_START + make_opaque()
        webhook = Webhook(
            id=WebhookId(uuid7()),
            workspace_id=workflow.workspace_id,
            workflow_id=workflow.id,
            name=check_line(name, ["input", "name"], limit=MAX_NAME),
            prefix=token[:SHOWN],
            is_signed=is_signed,
            last_called_at=None,
            created_at=self._clock(),
        )
        key, sealed = self._new_key(webhook)
        deed = self._deed(actor, AuditAction.WEBHOOK_CREATED, webhook)
        await self._webhooks.add(webhook, hash_opaque(token), sealed, deed)
        return MadeWebhook(webhook, token, key)

    async def rotate(self, actor: Principal, webhook_id: WebhookId) -> MadeWebhook:
        """Give a webhook a new token, and a new key if calls are signed; the old ones end at once.

        Raises:
            NotFound: no such webhook.
            Forbidden: the caller may not both change workflows and start runs there.
        """
        webhook = await self._get(actor, webhook_id)
        _demand(actor, webhook.workspace_id)
        token = TOKEN_START + make_opaque()
        key, sealed = self._new_key(webhook)
        deed = self._deed(actor, AuditAction.WEBHOOK_ROTATED, webhook)
        changed = await self._webhooks.rotate(webhook, token[:SHOWN], hash_opaque(token), sealed, deed)
        return MadeWebhook(changed, token, key)

    async def delete(self, actor: Principal, webhook_id: WebhookId) -> None:
        """Delete a webhook; its runs stay.

        Raises:
            NotFound: no such webhook.
            Forbidden: the caller may see it only.
        """
        webhook = await self._get(actor, webhook_id)
        actor.demand(webhook.workspace_id, Permission.WRITE)
        await self._webhooks.remove(webhook, self._deed(actor, AuditAction.WEBHOOK_DELETED, webhook))

    # ── reading ──

    async def list_by_id(self, actor: Principal, webhook_ids: Sequence[WebhookId]) -> Mapping[WebhookId, Webhook]:
        """Return those of the webhooks that the caller may see."""
        return {one.id: one for one in await self._webhooks.list_by_id(actor.within(), webhook_ids)}

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Webhook]]:
        """Read the same page of the webhooks of each of the workspaces, which the caller was shown, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._webhooks.page_by_workspace(workspace_ids, page)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._webhooks.count_by_workspace(workspace_ids)

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], page: PageRequest
    ) -> Mapping[WorkflowId, Page[Webhook]]:
        """Read the same page of the webhooks of each of the workflows, which the caller was shown, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._webhooks.page_by_workflow(workflow_ids, page)

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, int]:
        """Count what `page_by_workflow` lists."""
        return await self._webhooks.count_by_workflow(workflow_ids)

    async def _get(self, actor: Principal, webhook_id: WebhookId) -> Webhook:
        webhook = (await self.list_by_id(actor, [webhook_id])).get(webhook_id)
        if webhook is None:
            raise NotFound(path=["input", "id"])
        return webhook

    def _new_key(self, webhook: Webhook) -> tuple[str | None, bytes | None]:
        if not webhook.is_signed:
            return None, None
        key = key_text(secrets.token_bytes(KEY_BYTES))
        return key, self._vault.seal(key, workspace_id=webhook.workspace_id, object_id=webhook.id)

    def _deed(self, actor: Principal, action: AuditAction, webhook: Webhook) -> Deed:
        return self._audit.deed(actor, action, to_global(Prefix.WEBHOOK, webhook.id), webhook.name)


def _demand(actor: Principal, workspace_id: WorkspaceId) -> None:
    # Who has the URL starts runs: an API key that may not do so itself gets none.
    actor.demand(workspace_id, Permission.WRITE)
    actor.demand(workspace_id, Permission.EXECUTE)
