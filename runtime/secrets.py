"""Secrets: storing them, and giving their values to the process that executes nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.connections import Secret, check_secret_name, check_secret_value
from domain.errors import NotFound
from domain.identity import Permission
from domain.ids import Prefix, SecretId, to_global
from domain.texts import check_text
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.ports.audit import AuditTrail
    from domain.ports.connections import Secrets
    from domain.ports.paging import Page, PageRequest
    from runtime.encryption import Vault

_MAX_DESCRIPTION = 2_000


@dataclass(frozen=True, slots=True)
class SecretChange:
    """What changes in a secret; a value of None leaves it, `description` counts only if `is_described`."""

    value: str | None = None
    description: str | None = None
    is_described: bool = False


class SecretService:
    """Named values that nobody reads back."""

    def __init__(
        self,
        secrets: Secrets,
        vault: Vault,
        *,
        clock: Callable[[], datetime] = utc_now,
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        self._audit = audit
        self._secrets = secrets
        self._vault = vault
        self._clock = clock

    async def create(
        self, actor: Principal, workspace_id: WorkspaceId | None, name: str, value: str, description: str | None
    ) -> Secret:
        """Store a secret.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            InvalidInput, LimitExceeded: name, value or description are not acceptable.
            AlreadyExists: the name is taken.
        """
        workspace = actor.workspace(workspace_id, Permission.ADMIN)
        now = self._clock()
        secret = Secret(
            id=SecretId(uuid7()),
            workspace_id=workspace,
            name=check_secret_name(name),
            description=_description(description),
            last_used_at=None,
            created_at=now,
            updated_at=now,
        )
        ciphertext = self._sealed(secret, check_secret_value(value))
        await self._secrets.add(secret, ciphertext, deed=self._deed(actor, AuditAction.SECRET_WRITTEN, secret))
        return secret

    async def update(self, actor: Principal, secret_id: SecretId, change: SecretChange) -> Secret:
        """Change a secret's value or description.

        Raises:
            NotFound: no such secret.
            Forbidden: the caller may see it only.
            InvalidInput, LimitExceeded: value or description are not acceptable.
        """
        secret = await self._get(actor, secret_id, Permission.ADMIN)
        ciphertext = None
        if change.is_described:
            secret = replace(secret, description=_description(change.description))
        if change.value is not None:
            secret = replace(secret, updated_at=self._clock())
            ciphertext = self._sealed(secret, check_secret_value(change.value))
        await self._secrets.save(secret, ciphertext, deed=self._deed(actor, AuditAction.SECRET_WRITTEN, secret))
        return secret

    async def delete(self, actor: Principal, secret_id: SecretId) -> None:
        """Delete a secret.

        Raises:
            NotFound: no such secret.
            Forbidden: the caller may see it only.
            InUse: published nodes use it.
        """
        secret = await self._get(actor, secret_id, Permission.ADMIN)
        deed = self._deed(actor, AuditAction.SECRET_DELETED, secret)
        await self._secrets.remove(secret.id, secret.workspace_id, deed=deed)

    async def find(self, actor: Principal, secret_id: SecretId) -> Secret | None:
        """Find a secret that the caller may see."""
        return (await self.list_by_id(actor, [secret_id])).get(secret_id)

    async def list_by_id(self, actor: Principal, secret_ids: Sequence[SecretId]) -> Mapping[SecretId, Secret]:
        """Return those of the secrets that the caller may see."""
        return {one.id: one for one in await self._secrets.list_by_id(actor.within(), secret_ids)}

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Secret]]:
        """Read the same page of the secrets of each of the workspaces, which the caller was shown, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._secrets.page_by_workspace(workspace_ids, page)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._secrets.count_by_workspace(workspace_ids)

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names that a graph of the workspace may use."""
        return await self._secrets.list_names(workspace_id)

    async def values(self, workspace_id: WorkspaceId, names: Collection[str]) -> Mapping[str, str]:
        """Return the values of those names that exist, for the executing process alone.

        Raises:
            SecretUnreadable: a value cannot be decrypted.
        """
        if not names:
            return {}
        sealed = await self._secrets.use(workspace_id, sorted(names), self._clock())
        return {
            each.name: self._vault.open(each.ciphertext, workspace_id=workspace_id, object_id=each.id)
            for each in sealed
        }

    async def _get(self, actor: Principal, secret_id: SecretId, permission: Permission) -> Secret:
        secret = await self.find(actor, secret_id)
        if secret is None:
            raise NotFound(path=["input", "id"])
        actor.demand(secret.workspace_id, permission)
        return secret

    def _deed(self, actor: Principal, action: AuditAction, secret: Secret) -> Deed | None:
        return self._audit.deed(actor, action, to_global(Prefix.SECRET, secret.id), secret.name)

    def _sealed(self, secret: Secret, value: str) -> bytes:
        return self._vault.seal(value, workspace_id=secret.workspace_id, object_id=secret.id)


def _description(given: str | None) -> str | None:
    return None if given is None else check_text(given, ["input", "description"], limit=_MAX_DESCRIPTION)
