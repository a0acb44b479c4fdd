"""The audit log: what services tell it, and what owners and admins read."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from domain.audit import AuditAction, Deed
from domain.errors import AnabranchError
from domain.identity import Permission
from domain.texts import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from domain.audit import AuditEntry, AuditQuery
    from domain.identity import Principal, User
    from domain.ids import AuditEntryId, UserId, WorkspaceId
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

    def deed(
        self, actor: Principal, action: AuditAction, target_id: str | None = None, target_name: str | None = None
    ) -> None:
        """Keep nothing."""

    def deed_of(
        self, user: User, action: AuditAction, address: str | None = None, target_id: str | None = None
    ) -> None:
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

    def deed(
        self, actor: Principal, action: AuditAction, target_id: str | None = None, target_name: str | None = None
    ) -> Deed:
        """Return what a caller is about to do; `target_id` is a global id."""
        return Deed(action, self._clock(), actor.user.id, actor, target_id, target_name, kept_address(actor.address))

    def deed_of(
        self, user: User, action: AuditAction, address: str | None = None, target_id: str | None = None
    ) -> Deed:
        """Return what somebody is about to do who is not signed in, maybe to the person with this id."""
        name = None if target_id is None else user.email
        return Deed(action, self._clock(), user.id, None, target_id, name, kept_address(address))

    def sign_in_failed(self, user_id: UserId, address: str) -> None:
        """Add an entry to each workspace of a person, a little later: whoever tries must not see that it takes time."""
        now, address = self._clock(), kept_address(address) or ""
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
                await self._log.add_everywhere(Deed(AuditAction.SIGN_IN_FAILED, at, user_id, address=address or None))
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


def kept_address(address: str | None) -> str | None:
    """Return an address as the log keeps it."""
    # A proxy's header may say anything.
    return storable(address)[:_MAX_ADDRESS] if address else None
