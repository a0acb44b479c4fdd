"""What walks through all sealed values, of every workspace, to seal them with another key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


class SealedKind(Enum):
    """Where sealed values are."""

    SECRETS = "secrets"
    CONNECTIONS = "connections"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class SealedValue:
    """A sealed value, and what it is bound to."""

    id: UUID
    workspace_id: UUID
    ciphertext: bytes


class SealedValues(Protocol):
    """All sealed values."""

    async def count(self, kind: SealedKind) -> int:
        """Count the values of a kind."""
        ...

    async def count_other(self, kind: SealedKind, head: bytes) -> int:
        """Count those that do not begin with `head`."""
        ...

    async def replace_other(
        self, kind: SealedKind, head: bytes, *, after: UUID, limit: int, seal: Callable[[SealedValue], bytes | None]
    ) -> SealedBatch:
        """Replace the next values that do not begin with `head`, in one transaction; None leaves one as it is."""
        ...


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """What one transaction did."""

    last: UUID | None
    """The last value it looked at; None = there was none left."""
    replaced: int
    left: int
    """Those that `seal` left as they are."""
