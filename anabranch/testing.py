"""What the tests of a plug-in use: a context that records, an HTTP client that answers by script, and what is wrong with a kind."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.configs import compile_config
from domain.data_tables import Written
from domain.errors import NodeFault
from domain.kind_faults import faults_of
from domain.run import DeltaChannel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from domain.data_tables import DataTable
    from domain.json_value import Json
    from domain.kinds import Config, NodeKind
    from domain.ports.data_tables import ExternalWrite
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import ChatModel, Credential, HttpClient, OutboundRequest
    from domain.run import Usage
    from domain.suspensions import SubRunCall
    from domain.versions import VersionTrack

__all__ = ["Answer", "RecordingContext", "ScriptedHttp", "configure", "faults_of"]


def configure(kind: NodeKind, values: Mapping[str, Any], **scope: Any) -> Config:
    """Return what `run` would get: values as a workflow has them, rendered with `input`, `nodes` or `secrets`.

    Raises:
        ValueError: a workflow with these values would have a problem.
        NodeFault: `TEMPLATE_ERROR` or `INVALID_CONFIG`, as in a run.
    """
    compiled = compile_config(kind, values)
    if compiled.problems:
        raise ValueError("; ".join(f"{'.'.join(one.path)}: {one.message}" for one in compiled.problems))
    return compiled.render(scope)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says: its body in the pieces in which it comes."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in its pieces."""
        for piece in self.pieces:
            yield piece


@dataclass(slots=True)
class ScriptedHttp:
    """Implements `HttpClient`: each request takes the next answer; a fault among them is raised."""

    answers: list[Answer | NodeFault]
    requests: list[OutboundRequest] = field(default_factory=list["OutboundRequest"])

    @asynccontextmanager
    async def send(self, request: OutboundRequest) -> AsyncGenerator[Answer]:
        """Remember the request and give the next answer."""
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, NodeFault):
            raise answer
        yield answer


@dataclass(slots=True)
class RecordingContext:
    """Implements `NodeContext`: it records what the node does, and gives it what the test has put there."""

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
    call: SubRunCall | None = None
    called: list[tuple[str, int | VersionTrack, Json]] = field(
        default_factory=list["tuple[str, int | VersionTrack, Json]"]
    )
    asked_connections: list[str | None] = field(default_factory=list["str | None"])

    @property
    def http(self) -> HttpClient:
        """The client of the test."""
        if self.client is None:
            raise AssertionError("The test gave no client, such as RecordingContext(client=ScriptedHttp([Answer()])).")
        return self.client

    @property
    def collections(self) -> NodeCollections:
        """The collections of the test."""
        if self.stored is None:
            raise AssertionError("The test gave no collections: RecordingContext(stored=…).")
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

    async def sub_workflow(self, slug: str, which: int | VersionTrack, given: Json) -> SubRunCall:
        """Return the call of the test."""
        self.called.append((slug, which, given))
        if self.call is None:
            raise NodeFault("WORKFLOW_NOT_FOUND", slug)
        return self.call

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
