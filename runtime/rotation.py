"""Sealing everything anew with the first key, so that older keys can be removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from domain.errors import SecretUnreadable
from domain.ports.sealed import SealedKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.ports.sealed import SealedValue, SealedValues
    from runtime.encryption import Vault

_BATCH = 200
_BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many values of a kind there are, and how many of them are not sealed with the first key."""

    kind: SealedKind
    total: int
    other: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """What became of values that were sealed with other keys."""

    resealed: int
    unreadable: int
    """Sealed with none of the keys there are, or changed: they are left as they are."""


class KeyRotation:
    """Walks through all sealed values; begun again it goes on where it was stopped, since what is done is not found again."""

    def __init__(self, values: SealedValues, vault: Vault, *, batch: int = _BATCH) -> None:
        self._values = values
        self._vault = vault
        self._batch = batch

    async def tally(self) -> list[Tally]:
        """Count, and change nothing."""
        return [
            Tally(kind, await self._values.count(kind), await self._values.count_other(kind, self._vault.head))
            for kind in SealedKind
        ]

    async def run(self, on_batch: Callable[[SealedKind, Rotated], None]) -> Rotated:
        """Seal with the first key what is sealed with another one; `on_batch` hears how far each kind is."""
        done = [await self._run(kind, on_batch) for kind in SealedKind]
        return Rotated(sum(one.resealed for one in done), sum(one.unreadable for one in done))

    async def _run(self, kind: SealedKind, on_batch: Callable[[SealedKind, Rotated], None]) -> Rotated:
        after, resealed, unreadable = _BEFORE_ALL, 0, 0
        while True:
            batch = await self._values.replace_other(
                kind, self._vault.head, after=after, limit=self._batch, seal=self._sealed_anew
            )
            if batch.last is None:
                return Rotated(resealed, unreadable)
            after, resealed, unreadable = batch.last, resealed + batch.replaced, unreadable + batch.left
            on_batch(kind, Rotated(resealed, unreadable))

    def _sealed_anew(self, value: SealedValue) -> bytes | None:
        try:
            opened = self._vault.open(value.ciphertext, workspace_id=value.workspace_id, object_id=value.id)
        except SecretUnreadable:
            return None
        return self._vault.seal(opened, workspace_id=value.workspace_id, object_id=value.id)
