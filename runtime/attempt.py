"""What a node sees while one attempt of it runs: the `NodeContext` of both engines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from domain.errors import DatabaseUnavailable
from domain.run import NO_USAGE, DeltaChannel, Usage
from runtime.allowances import LimitedModel
from runtime.attempt_clocks import AttemptClocks
from runtime.hidden import Hidden

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from domain.collections import Match, NewDocument, SearchQuery
    from domain.data_tables import DataTable
    from domain.data_tables import Written as WrittenRows
    from domain.ids import RunId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.data_tables import ExternalDatabase, ExternalTables, ExternalWrite
    from domain.ports.node_collections import NodeCollections, Written
    from domain.ports.outbound import ChatModel, Credential, HttpClient
    from domain.suspensions import SubRunCall
    from domain.versions import VersionTrack
    from runtime.allowances import Allowance
    from runtime.deltas import DeltaStream


Answer = TypeVar("Answer")
_ASK_AGAIN_S: Final = 0.5


class NodeServices(Protocol):
    """What the process offers to the nodes of all runs."""

    @property
    def http(self) -> HttpClient:
        """Outbound HTTP behind the guard."""
        ...

    async def chat(self, workspace_id: WorkspaceId, connection: str | None) -> ChatModel:
        """Return the model API of a connection.

        Raises:
            NodeFault: `UNKNOWN_CONNECTION`, or `NO_MODEL` where none is configured.
        """
        ...

    async def credential(self, workspace_id: WorkspaceId, connection: str) -> Credential:
        """Return what an HTTP_AUTH connection adds to requests.

        Raises:
            NodeFault: `UNKNOWN_CONNECTION`.
        """
        ...

    def collections(self, workspace_id: WorkspaceId) -> NodeCollections:
        """Return the vector collections of a workspace."""
        ...

    async def secrets(self, workspace_id: WorkspaceId, names: frozenset[str]) -> Mapping[str, str]:
        """Return the values of secrets.

        Raises:
            NodeFault: `UNKNOWN_SECRET`.
        """
        ...

    async def data_table(self, workspace_id: WorkspaceId, name: str) -> DataTable:
        """Return a built-in table.

        Raises:
            NodeFault: `TABLE_NOT_FOUND`.
        """
        ...

    async def external_database(self, workspace_id: WorkspaceId, connection: str) -> ExternalDatabase:
        """Return where the database of a POSTGRES connection is and how one signs in.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`.
        """
        ...

    @property
    def external_tables(self) -> ExternalTables:
        """Tables of other databases, behind the guard."""
        ...

    async def sub_workflow(
        self, workspace_id: WorkspaceId, slug: str, which: int | VersionTrack, given: Json
    ) -> SubRunCall:
        """Return the call of a workflow.

        Raises:
            NodeFault: `WORKFLOW_NOT_FOUND`, `WORKFLOW_NOT_RUNNABLE`, `INVALID_SUB_INPUT`.
        """
        ...

    def on_room(self, attempts: str, wake: Callable[[], bool]) -> bool:
        """Call `wake` when there is room for the node whose attempts have this key; what it returns says whether it comes.

        False = nobody knows of it here: it has to ask again.
        """
        ...

    def leave_queue(self, attempts: str) -> None:
        """Give up the place of a node that will not come when there is room."""
        ...


class NodeAttempt:
    """One attempt of one node; implements `domain.kinds.NodeContext`."""

    __slots__ = (
        "_allowance",
        "_deltas",
        "_services",
        "_workspace_id",
        "clocks",
        "has_sent",
        "hidden",
        "idempotency_key",
        "recorded",
        "usage",
        "waits_since",
    )

    def __init__(
        self,
        services: NodeServices,
        workspace_id: WorkspaceId,
        idempotency_key: str,
        deltas: DeltaStream | None,
        allowance: Allowance | None = None,
    ) -> None:
        self._services = services
        self._workspace_id = workspace_id
        self._deltas = deltas
        self._allowance = allowance
        self.clocks = AttemptClocks()
        self.has_sent = False
        """Whether it has used a connection: then it is not begun again for want of room."""
        self.waits_since: float | None = None
        """When the node first began, if this is not its first attempt: it goes before those who came later."""
        self.hidden: Hidden | None = None
        """What it got to know and must not record; None for the many that use no secret."""
        self.idempotency_key = idempotency_key
        self.recorded: bytes | None = None
        """What the node's record shows of its rendered configuration, as soon as that is known."""
        self.usage: Usage = NO_USAGE

    @property
    def http(self) -> HttpClient:
        """Outbound HTTP behind the guard."""
        return self._services.http

    async def chat(self, connection: str | None) -> ChatModel:
        """Return the model API of the named connection, or of the default."""
        model = await _patiently(lambda: self._services.chat(self._workspace_id, connection))
        return model if self._allowance is None else LimitedModel(model, self._allowance, lambda: self.usage)

    async def credential(self, connection: str) -> Credential:
        """Return what the named connection adds to requests."""
        credential = await _patiently(lambda: self._services.credential(self._workspace_id, connection))
        sent = (*credential.headers.values(), *credential.query.values())
        # Of `Bearer …` and `Basic …` a peer may repeat the second word alone, or what it has decoded.
        self._hide(*sent, *(text.partition(" ")[2] for text in sent), *credential.parts)
        return credential

    @property
    def collections(self) -> NodeCollections:
        """The vector collections of the run's workspace."""
        return _PatientCollections(self._services.collections(self._workspace_id))

    async def secrets(self, names: frozenset[str]) -> Mapping[str, str]:
        """Return the values of the workspace's secrets."""
        values = await _patiently(lambda: self._services.secrets(self._workspace_id, names))
        self._hide(*values.values())
        return values

    async def data_table(self, name: str) -> DataTable:
        """Return the built-in table of this name."""
        return await _patiently(lambda: self._services.data_table(self._workspace_id, name))

    async def write_external(self, connection: str, write: ExternalWrite) -> WrittenRows:
        """Write to a table of the database behind the named connection."""
        database = await _patiently(lambda: self._services.external_database(self._workspace_id, connection))
        self._hide(database.password)
        return await self._services.external_tables.write(database, write)

    async def sub_workflow(self, slug: str, which: int | VersionTrack, given: Json) -> SubRunCall:
        """Return the call of a workflow of the run's workspace."""
        return await _patiently(lambda: self._services.sub_workflow(self._workspace_id, slug, which, given))

    async def emit(self, text: str, channel: DeltaChannel = DeltaChannel.TEXT) -> None:
        """Stream a piece of text."""
        self.progress()
        if self._deltas is not None:
            await self._deltas.write(text if self.hidden is None else self.hidden.text(text), channel)

    def progress(self) -> None:
        """Restart the idle timeout."""
        self.clocks.moved()

    def used(self, usage: Usage) -> None:
        """Remember what has been used so far."""
        self.usage = usage

    def _hide(self, *values: str | None) -> None:
        if self.hidden is None:
            self.hidden = Hidden()
        self.hidden.add(values)

    def holding(self) -> AbstractContextManager[None]:
        """Stop the clocks while the attempt waits for room under a connection's limits."""
        return self.clocks.held()


class _PatientCollections:
    """Collections that outlast a restart of the database."""

    def __init__(self, collections: NodeCollections) -> None:
        self._collections = collections

    async def search(self, name: str, query: SearchQuery) -> Sequence[Match]:
        return await _patiently(lambda: self._collections.search(name, query))

    async def upsert(self, name: str, documents: Sequence[NewDocument], moved: Callable[[], None]) -> Written:
        return await _patiently(lambda: self._collections.upsert(name, documents, moved))


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the database answers: that it is away is no failure of a node. The node's timeouts bound the wait."""
    while True:
        try:
            return await ask()
        except DatabaseUnavailable:
            await asyncio.sleep(_ASK_AGAIN_S)


def idempotency_key(run_id: RunId, node_key: str, item_index: int | None) -> str:
    """Return what all attempts of a node (and item) of a run have in common."""
    return f"{run_id}/{node_key}/{'-' if item_index is None else item_index}"
