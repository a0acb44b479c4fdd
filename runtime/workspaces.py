"""Workspaces: making, naming and deleting them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.errors import InUse, InvalidInput
from domain.identity import Permission, Workspace
from domain.ids import Prefix, WorkspaceId, to_global
from domain.run import RunQuery
from domain.texts import check_line
from domain.workflow import UNSET, Unset
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now
from runtime.steering import MAX_CANCELED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import CollectionId, ConnectionId
    from domain.ports.audit import AuditTrail
    from domain.ports.members import Workspaces
    from domain.ports.steering import RunSteering

_MAX_NAME: Final = 100
_STOP_TIMEOUT_S: Final = 20.0
"""How long runs may take to stop before a deletion gives up; shorter than an operation may take."""
_LOOK_S: Final = 0.2


class Indexes(Protocol):
    """What is kept of collections beside the database."""

    async def forget(self, collection_ids: Sequence[CollectionId]) -> None:
        """Drop what belongs to collections that are gone."""
        ...


class DefaultConnections(Protocol):
    """What knows which connection nodes use that name none."""

    async def find_default(self, workspace_id: WorkspaceId, name: str) -> ConnectionId:
        """Find one that may be it.

        Raises:
            InvalidInput: no such connection, or one to no model.
        """
        ...


class WorkspaceService:
    """Tenants, for those who own them or may."""

    def __init__(
        self,
        workspaces: Workspaces,
        steering: RunSteering,
        indexes: Indexes,
        connections: DefaultConnections,
        look: Callable[[], None],
        *,
        clock: Callable[[], datetime] = utc_now,
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        self._workspaces = workspaces
        self._audit = audit
        self._steering = steering
        self._indexes = indexes
        self._connections = connections
        self._look = look
        self._clock = clock

    async def create(self, actor: Principal, name: str) -> Workspace:
        """Make a workspace that the caller owns.

        Raises:
            InvalidInput: the name is not acceptable.
            LimitExceeded: the caller owns as many as one may.
        """
        shown = check_line(name, ["input", "name"], limit=_MAX_NAME)
        workspace = Workspace(WorkspaceId(uuid7()), shown, self._clock())
        await self._workspaces.add(workspace, actor.user.id)
        return workspace

    async def update(
        self, actor: Principal, workspace: Workspace, name: str | None, default_connection: str | Unset | None = UNSET
    ) -> Workspace:
        """Change what is given: all of it or nothing.

        Raises:
            NotFound: it is gone.
            Forbidden: the caller may see it only.
            InvalidInput: the name is not acceptable, or there is no such connection to a model.
        """
        actor.demand(workspace.id, Permission.ADMIN)
        shown = None if name is None else check_line(name, ["input", "name"], limit=_MAX_NAME)
        if shown is None and isinstance(default_connection, Unset):
            return workspace
        default: ConnectionId | Unset | None = UNSET
        if not isinstance(default_connection, Unset):
            name = default_connection
            default = None if name is None else await self._connections.find_default(workspace.id, name)
        target = to_global(Prefix.WORKSPACE, workspace.id)
        deed = self._audit.deed(actor, AuditAction.WORKSPACE_UPDATED, target, shown or workspace.name)
        return await self._workspaces.update(workspace.id, shown, default, deed=deed)

    async def delete(self, actor: Principal, workspace: Workspace, confirmed: str) -> None:
        """Delete a workspace with all that is in it, once its runs have stopped.

        Raises:
            NotFound: it is gone.
            Forbidden: the caller does not own it.
            InvalidInput: `confirmed` is not its name.
            InUse: runs are still being stopped.
        """
        actor.demand(workspace.id, Permission.OWNER)
        if confirmed != workspace.name:
            raise InvalidInput("This is not the workspace's name.", path=["input", "confirmName"])
        loop = asyncio.get_running_loop()
        given_up = loop.time() + _STOP_TIMEOUT_S

        async def remove() -> Sequence[CollectionId] | None:
            deed = self._audit.deed(actor, AuditAction.WORKSPACE_UPDATED)
            return await self._workspaces.remove(workspace.id, actor.user.id, deed=deed)

        while (collection_ids := await remove()) is None:
            if loop.time() > given_up:
                raise InUse("Runs of the workspace are still being stopped; try again in a minute.")
            # Again each time: members may start runs until the workspace is gone.
            await self._steering.cancel_many(
                workspace.id, RunQuery(), actor.user.id, "The workspace is deleted.", MAX_CANCELED
            )
            self._look()
            await asyncio.sleep(_LOOK_S)
        await self._indexes.forget(collection_ids)
