"""Keys and their log for tests: the real services on a real database, with a clock that the test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from domain.audit import AuditQuery
from domain.ports.paging import PageRequest
from persistence.api_keys import PostgresApiKeys
from persistence.audit import PostgresAudit, insert_deeds
from persistence.uses import through
from runtime.api_keys import ApiKeyService
from runtime.audit import AuditService
from tests.support.identity import Clock

if TYPE_CHECKING:
    from domain.audit import AuditAction, AuditEntry
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from persistence.database import Database


class Machines:
    """The services of API keys and of the audit log."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.audit = AuditService(PostgresAudit(database), self.clock)
        self.keys = ApiKeyService(PostgresApiKeys(database), self.audit, clock=self.clock)


def home(actor: Principal) -> WorkspaceId:
    """Return the caller's only workspace."""
    return next(iter(actor.roles))


async def logged(audit: AuditService, actor: Principal, query: AuditQuery | None = None) -> list[AuditEntry]:
    """Return the newest entries of the caller's only workspace, oldest first."""
    pages = await audit.pages(actor, [home(actor)], query or AuditQuery(), PageRequest(100))
    return list(pages[home(actor)].items)[::-1]


async def record(  # noqa: PLR0917 -- as `AuditService.deed`, with a place
    audit: AuditService,
    actor: Principal,
    workspace_id: WorkspaceId,
    action: AuditAction,
    target_id: str | None = None,
    target_name: str | None = None,
) -> None:
    """Add an entry, as those do who store a change."""
    deed = audit.deed(actor, action, target_id, target_name)
    async with cast("PostgresAudit", audit._log)._database.connection() as connection:
        await insert_deeds(through(connection), workspace_id, [deed])
