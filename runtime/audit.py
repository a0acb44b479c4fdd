"""The audit log: what services tell it, and what owners and admins read."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from uuid_utils.compat import uuid7

from domain.audit import AuditAction, AuditEntry
from domain.errors import AnabranchError
from domain.identity import Permission
from domain.ids import AuditEntryId
from domain.texts import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.audit import AuditQuery
    from domain.identity import Principal
    from domain.ids import UserId, WorkspaceId
    from domain.ports.audit import AuditLog
    from domain.ports.paging import Page, PageRequest

_log = logging.getLogger(__name__)

MAX_FAILURES: Final = 20
"""How many failed sign-ins of an account are noted in an hour, by one process: a flood of them fills no table."""
_HOUR_S: Final = 3_600.0
_MAX_WAITING: Final = 256
_MAX_ADDRESS: Final = 64


class NoAudit:
    """Takes what is told and keeps nothing: for services that are made without a log."""

    async def record(
        self,
        actor: Principal,
        workspace_id: WorkspaceId,
        action: AuditAction,
        target_id: str | None = None,
        target_name: str | None = None,
    ) -> None:
        """Keep nothing."""

    async def record_of(self, user_id: UserId, action: AuditAction) -> None:
        """Keep nothing."""

    async def record_everywhere(self, actor: Principal, action: AuditAction, address: str | None = None) -> None:
        """Keep nothing."""

    def sign_in_failed(self, user_id: UserId, address: str) -> None:
        """Keep nothing."""


NO_AUDIT: Final = NoAudit()


class AuditService:
    """Adds entries for the other services, and shows them to owners and admins."""

    def __init__(self, log: AuditLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[UserId, str, datetime]] = asyncio.Queue(_MAX_WAITING)
        self._failures: dict[UserId, int] = {}
        self._counted_since = clock()

    # ── adding ──

    def entry(
        self,
        actor: Principal,
        workspace_id: WorkspaceId,
        action: AuditAction,
        target_id: str | None = None,
        target_name: str | None = None,
    ) -> AuditEntry:
        """Return an entry about a caller, for whoever stores it together with the change."""
        return AuditEntry(
            AuditEntryId(uuid7()),
            workspace_id,
            self._clock(),
            action,
            actor.user.id,
            actor.api_key_id,
            target_id,
            target_name,
            _kept(actor.address),
        )

    async def record(
        self,
        actor: Principal,
        workspace_id: WorkspaceId,
        action: AuditAction,
        target_id: str | None = None,
        target_name: str | None = None,
    ) -> None:
        """Add an entry about what a caller has just done; `target_id` is a global id."""
        await self._log.add([self.entry(actor, workspace_id, action, target_id, target_name)])

    async def record_everywhere(self, actor: Principal, action: AuditAction, address: str | None = None) -> None:
        """Add an entry to each workspace of a caller, about what concerns the person."""
        await self._log.add_for_person(actor.user.id, action, self._clock(), _kept(address or actor.address))

    async def record_of(self, user_id: UserId, action: AuditAction) -> None:
        """Add an entry to each workspace of a person about what somebody with the server's database did."""
        await self._log.add_for_person(user_id, action, self._clock(), None)

    def sign_in_failed(self, user_id: UserId, address: str) -> None:
        """Add an entry to each workspace of a person, a little later: whoever tries must not see that it takes time."""
        now, address = self._clock(), _kept(address) or ""
        if (now - self._counted_since).total_seconds() >= _HOUR_S:
            self._failures.clear()
            self._counted_since = now
        count = self._failures.get(user_id, 0)
        if count < MAX_FAILURES and not self._waiting.full():
            self._failures[user_id] = count + 1
            self._waiting.put_nowait((user_id, address, now))

    async def run(self) -> None:
        """Write the failed sign-ins; those of a moment in which the database is away are lost, and logged."""
        while True:
            user_id, address, at = await self._waiting.get()
            try:
                await self._log.add_for_person(user_id, AuditAction.SIGN_IN_FAILED, at, address or None)
            except AnabranchError as fault:
                _log.warning("A failed sign-in is missing in the audit log: %s", fault)
            except Exception:  # noqa: BLE001 -- whatever the database says, one missing entry ends nothing else
                _log.exception("A failed sign-in is missing in the audit log")

    # ── reading ──

    async def list_by_id(
        self, actor: Principal, entry_ids: Sequence[AuditEntryId]
    ) -> Mapping[AuditEntryId, AuditEntry]:
        """List those of the entries that the caller may see."""
        return {entry.id: entry for entry in await self._log.list_by_id(actor.within(Permission.ADMIN), entry_ids)}

    async def pages(
        self, actor: Principal, workspace_ids: Sequence[WorkspaceId], query: AuditQuery, request: PageRequest
    ) -> Mapping[WorkspaceId, Page[AuditEntry]]:
        """Read the same part of the logs of several workspaces, newest first.

        Raises:
            NotFound, Forbidden: one of them is none of which the caller may read the log.
            CursorInvalid: a cursor of another list.
        """
        for workspace_id in workspace_ids:
            actor.demand(workspace_id, Permission.ADMIN)
        return await self._log.page_by_workspace(workspace_ids, query, request)

    async def counts(
        self, actor: Principal, workspace_ids: Sequence[WorkspaceId], query: AuditQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count the entries of several workspaces.

        Raises:
            NotFound, Forbidden: one of them is none of which the caller may read the log.
        """
        for workspace_id in workspace_ids:
            actor.demand(workspace_id, Permission.ADMIN)
        return await self._log.count_by_workspace(workspace_ids, query)


def _kept(address: str | None) -> str | None:
    # A proxy's header may say anything.
    return storable(address)[:_MAX_ADDRESS] if address else None
