"""A node's context for tests: it records what the node does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.data_tables import Written
from domain.errors import NodeFault
from domain.run import DeltaChannel

if TYPE_CHECKING:
    from domain.data_tables import DataTable
    from domain.ports.data_tables import ExternalWrite
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import ChatModel, Credential, HttpClient
    from domain.run import Usage


@dataclass(slots=True)
class RecordingContext:
    """Implements `NodeContext`."""

    client: HttpClient | None = None
    model: ChatModel | None = None
    stored: NodeCollections | None = None
    credentials: dict[str, Credential] = field(default_factory=dict["str", "Credential"])
    idempotency_key: str = "run/node/-"
    emitted: list[tuple[DeltaChannel, str]] = field(default_factory=list[tuple[DeltaChannel, str]])
    moves: int = 0
    usages: list[Usage] = field(default_factory=list["Usage"])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever something is emitted or moves."""
    tables: dict[str, DataTable] = field(default_factory=dict[str, "DataTable"])
    external_writes: list[tuple[str, ExternalWrite]] = field(default_factory=list[tuple[str, "ExternalWrite"]])
    asked_connections: list[str | None] = field(default_factory=list["str | None"])

    @property
    def http(self) -> HttpClient:
        """The client of the test."""
        assert self.client is not None
        return self.client

    @property
    def collections(self) -> NodeCollections:
        """The collections of the test."""
        assert self.stored is not None
        return self.stored

    async def chat(self, connection: str | None) -> ChatModel:
        """Return the model of the test."""
        self.asked_connections.append(connection)
        if self.model is None:
            raise NodeFault("CONNECTION_NOT_FOUND", "none")
        return self.model

    async def credential(self, connection: str) -> Credential:
        """Return a credential of the test."""
        return self.credentials[connection]

    async def data_table(self, name: str) -> DataTable:
        """Return a table of the test."""
        if name not in self.tables:
            raise NodeFault("TABLE_NOT_FOUND", "none")
        return self.tables[name]

    async def write_external(self, connection: str, write: ExternalWrite) -> Written:
        """Remember a write."""
        self.external_writes.append((connection, write))
        return Written(1, ({"id": 7},))

    async def emit(self, text: str, channel: DeltaChannel = DeltaChannel.TEXT) -> None:
        """Remember a delta."""
        self.emitted.append((channel, text))
        self.changed.set()

    def progress(self) -> None:
        """Count a move."""
        self.moves += 1
        self.changed.set()

    def used(self, usage: Usage) -> None:
        """Remember what was used."""
        self.usages.append(usage)

    async def until_moves(self, count: int) -> None:
        """Wait until so many moves were counted."""
        while self.moves < count:
            self.changed.clear()
            await self.changed.wait()

    def text(self, channel: DeltaChannel = DeltaChannel.TEXT) -> str:
        """Return all that was emitted."""
        return "".join(text for emitted, text in self.emitted if emitted is channel)
