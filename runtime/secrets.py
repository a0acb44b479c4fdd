"""Secrets: storing them, and giving their values to the process that executes nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.connections import Secret, check_secret_name, check_secret_value
from domain.errors import NotFound
from domain.identity import Permission
from domain.ids import SecretId
from domain.texts import check_text
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.ports.paging import Page, PageRequest
    from domain.ports.repositories import Secrets
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

    def __init__(self, secrets: Secrets, vault: Vault, *, clock: Callable[[], datetime] = utc_now) -> None:
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
        await self._secrets.add(secret, self._sealed(secret, check_secret_value(value)))
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
        await self._secrets.save(secret, ciphertext)
        return secret

    async def delete(self, actor: Principal, secret_id: SecretId) -> None:
        """Delete a secret.

        Raises:
            NotFound: no such secret.
            Forbidden: the caller may see it only.
        """
        secret = await self._get(actor, secret_id, Permission.ADMIN)
        await self._secrets.remove(secret.id, secret.workspace_id)

    async def find(self, actor: Principal, secret_id: SecretId) -> Secret | None:
        """Find a secret that the caller may see."""
        return await self._secrets.find(secret_id, actor.within())

    async def page(self, actor: Principal, workspace_id: WorkspaceId, page: PageRequest) -> Page[Secret]:
        """Read a page of a workspace's secrets by name.

        Raises:
            NotFound: no such workspace.
            CursorInvalid: a cursor of another list.
        """
        return await self._secrets.page(actor.workspace(workspace_id), page)

    async def count(self, actor: Principal, workspace_id: WorkspaceId) -> int:
        """Count the secrets of a workspace.

        Raises:
            NotFound: no such workspace.
        """
        return await self._secrets.count(actor.workspace(workspace_id))

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

    def _sealed(self, secret: Secret, value: str) -> bytes:
        return self._vault.seal(value, workspace_id=secret.workspace_id, object_id=secret.id)


def _description(given: str | None) -> str | None:
    return None if given is None else check_text(given, ["input", "description"], limit=_MAX_DESCRIPTION)
