"""What the permission matrix has to know of API keys, of webhooks and of the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.audit import AuditAction, AuditQuery
from domain.identity import Scope
from domain.ids import Prefix, to_global
from domain.ports.paging import PageRequest
from tests.support.hooks import called_workflow
from tests.support.machines import record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domain.identity import Principal
    from runtime.services import Services


async def _api_key(services: Services, owner: Principal) -> str:
    key, _ = await services.api_keys.create(owner, None, "matrix", [Scope.READ])
    return to_global(Prefix.API_KEY, key.id)


async def _audit_entry(services: Services, owner: Principal) -> str:
    home = next(iter(owner.roles))
    await record(services.audit, owner, home, AuditAction.WORKSPACE_UPDATED)
    page = (await services.audit.pages(owner, [home], AuditQuery(), PageRequest(1)))[home]
    return to_global(Prefix.AUDIT_ENTRY, page.items[0].id)


async def _webhook(services: Services, owner: Principal) -> str:
    workflow_id = await called_workflow(services, owner)
    return to_global(
        Prefix.WEBHOOK, (await services.webhooks.create(owner, workflow_id, "matrix", is_signed=True)).webhook.id
    )


OBJECTS: dict[Prefix, Callable[[Services, Principal], Awaitable[str]]] = {
    Prefix.API_KEY: _api_key,
    Prefix.AUDIT_ENTRY: _audit_entry,
    Prefix.WEBHOOK: _webhook,
}
IDS: dict[str, Prefix] = {
    **{f"{verb}ApiKey.input.id": Prefix.API_KEY for verb in ("rotate", "revoke")},
    **{f"{verb}Webhook.input.id": Prefix.WEBHOOK for verb in ("rotate", "delete")},
}
VALUES: dict[str, object] = {"createApiKey.input.scopes": ["READ"]}
