"""Groups for a run log, and what became of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.events import NodeFailed, NodeStarted, NodeSucceeded
from domain.ports.runs import Group
from domain.run import Failure

if TYPE_CHECKING:
    from uuid import UUID

    from domain.data_tables import RowWrite
    from domain.errors import AnabranchError
    from domain.events import Event
    from persistence.run_log import PostgresRunLog

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class Answers:
    """Appends to a log and remembers every answer, in their order."""

    log: PostgresRunLog
    stored: list[tuple[Group, int]] = field(default_factory=list[tuple[Group, int]])
    refused: list[tuple[Group, AnabranchError]] = field(default_factory=list["tuple[Group, AnabranchError]"])

    def append(
        self,
        run_id: UUID,
        *events: Event,
        epoch: int = 1,
        at: datetime = NOW,
        commands: tuple[UUID, ...] = (),
        write: RowWrite | None = None,
    ) -> Group:
        """Append a group."""
        group = Group(run_id, epoch, at, list(events), self._on_stored, self._on_refused, commands, write)
        self.log.append(group)
        return group

    async def drained(self) -> None:
        """Wait until everything is answered."""
        async with asyncio.timeout(30):
            await self.log.drained()

    def base_of(self, group: Group) -> int:
        """Return behind which seq a group stands; it was answered exactly once."""
        (base,) = [base for one, base in self.stored if one is group]
        assert group not in [one for one, _ in self.refused]
        return base

    def refusal_of(self, group: Group) -> AnabranchError:
        """Return why a group was refused; it was answered exactly once."""
        (error,) = [error for one, error in self.refused if one is group]
        assert group not in [one for one, _ in self.stored]
        return error

    def _on_stored(self, group: Group, base: int) -> None:
        self.stored.append((group, base))

    def _on_refused(self, group: Group, error: AnabranchError) -> None:
        self.refused.append((group, error))


def started(key: str, execution: int = 1) -> NodeStarted:
    """Return the start of an attempt."""
    return NodeStarted(key, None, execution)


def succeeded(key: str, output: bytes | None = b"{}", execution: int = 1) -> NodeSucceeded:
    """Return the good end of an attempt."""
    return NodeSucceeded(key, None, execution, ("out",), 1, output=output)


def failed(key: str, message: str = "no", execution: int = 1) -> NodeFailed:
    """Return the bad end of an attempt."""
    return NodeFailed(key, None, execution, Failure("NO", message, node_key=key, attempt=execution))
