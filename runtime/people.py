"""Workspaces and who belongs to them: the services that the API asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime.audit import NO_AUDIT
from runtime.identity import utc_now
from runtime.invitations import InvitationService
from runtime.members import MemberService
from runtime.workspaces import WorkspaceService

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.ports.audit import AuditTrail
    from domain.ports.members import Invitations, Members, Workspaces
    from domain.ports.steering import RunSteering
    from runtime.workspaces import DefaultConnections, Indexes


class StoredPeople(Protocol):
    """What remembers them."""

    @property
    def members(self) -> Members:
        """Members."""
        ...

    @property
    def invitations(self) -> Invitations:
        """Open invitations."""
        ...

    @property
    def workspaces(self) -> Workspaces:
        """Workspaces."""
        ...


class People:
    """Members, invitations and workspaces."""

    def __init__(
        self,
        stored: StoredPeople,
        steering: RunSteering,
        indexes: Indexes,
        connections: DefaultConnections,
        look: Callable[[], None],
        *,
        clock: Callable[[], datetime] = utc_now,
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        self.members = MemberService(stored.members, audit=audit)
        self.invitations = InvitationService(stored.invitations, clock=clock, audit=audit)
        self.workspaces = WorkspaceService(
            stored.workspaces, steering, indexes, connections, look, clock=clock, audit=audit
        )
