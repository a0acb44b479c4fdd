"""Collections for people and programs: making, filling, searching and rebuilding them, each within the caller's rights."""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from uuid_utils.compat import uuid7

from domain.audit import AuditAction
from domain.collections import (
    MAX_TOP_K,
    Chunking,
    Collection,
    VectorMetric,
    check_chunking,
    check_collection_name,
)
from domain.errors import InvalidInput, LimitExceeded, NodeFault, NotFound, RateLimited, UpstreamFailed
from domain.identity import Permission
from domain.ids import CollectionId, Prefix, to_global
from runtime.audit import NO_AUDIT
from runtime.identity import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
    from datetime import datetime

    from domain.collections import (
        CollectionStats,
        EmbedderSpec,
        Match,
        SearchQuery,
    )
    from domain.identity import Principal
    from domain.ids import WorkspaceId
    from domain.ports.audit import AuditTrail
    from domain.ports.collections import Collections
    from domain.ports.paging import Page, PageRequest
    from runtime.embedders import Embedders
    from runtime.rebuilds import Rebuilder
    from runtime.retrieval import Retrieval

MAX_COLLECTIONS: Final = 1_000
_PROBE: Final = "How many numbers does a vector have?"


@dataclass(frozen=True, slots=True)
class EmbedderChoice:
    """An embedder as it is asked for: a connection's model, or (None) the server's; no model = the default."""

    connection: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class CollectionDraft:
    """A collection as its maker describes it."""

    name: str
    embedder: EmbedderChoice = field(default_factory=EmbedderChoice)
    metric: VectorMetric = VectorMetric.COSINE
    chunking: Chunking = field(default_factory=Chunking)


class CollectionService:
    """Collections within the rights of whoever asks."""

    def __init__(
        self,
        collections: Collections,
        embedders: Embedders,
        retrieval: Retrieval,
        rebuilder: Rebuilder,
        *,
        clock: Callable[[], datetime] = utc_now,
        audit: AuditTrail = NO_AUDIT,
    ) -> None:
        self._audit = audit
        self._collections = collections
        self._embedders = embedders
        self._retrieval = retrieval
        self._rebuilder = rebuilder
        self._clock = clock

    # ── changing ──

    async def create(self, actor: Principal, workspace_id: WorkspaceId | None, draft: CollectionDraft) -> Collection:
        """Make a collection; its embedder is asked once for the length of its vectors.

        Raises:
            NotFound, WorkspaceRequired, Forbidden: the workspace is not one in which the caller may do this.
            InvalidInput: name, chunking or embedder are not acceptable.
            AlreadyExists: the name is taken.
            LimitExceeded: the workspace has as many as it may.
            UpstreamFailed, RateLimited: the embedder gives no vector.
        """
        workspace = actor.workspace(workspace_id, Permission.WRITE)
        name = check_collection_name(draft.name, ["input", "name"])
        chunking = check_chunking(draft.chunking, ["input", "chunking"])
        if (await self.count_by_workspace([workspace]))[workspace] >= MAX_COLLECTIONS:
            raise LimitExceeded(f"A workspace has at most {MAX_COLLECTIONS:,} collections.", limit=MAX_COLLECTIONS)
        embedder, dimension = await self._probe(workspace, draft.embedder)
        now = self._clock()
        collection = Collection(
            id=CollectionId(uuid7()),
            workspace_id=workspace,
            name=name,
            embedder=embedder,
            dimension=dimension,
            metric=draft.metric,
            chunking=chunking,
            generation=1,
            is_rebuilding=False,
            created_at=now,
            updated_at=now,
        )
        await self._collections.add(collection)
        return collection

    async def delete(self, actor: Principal, collection_id: CollectionId) -> None:
        """Delete a collection with its documents.

        Raises:
            NotFound: no such collection.
            Forbidden: the caller may see it only.
            InUse: published nodes use it.
        """
        collection = await self.get_to_write(actor, collection_id, ["input", "id"])
        target = to_global(Prefix.COLLECTION, collection.id)
        deed = self._audit.deed(actor, AuditAction.COLLECTION_DELETED, target, collection.name)
        await self._collections.remove(collection, deed=deed)

    async def rebuild(
        self,
        actor: Principal,
        collection_id: CollectionId,
        embedder: EmbedderChoice | None = None,
        chunking: Chunking | None = None,
    ) -> Collection:
        """Begin to build the index anew; searches go on in the old one meanwhile.

        Raises:
            NotFound: no such collection.
            Forbidden: the caller may see it only.
            Conflict: it is being rebuilt already, and that has not failed so far.
            InvalidInput: embedder or chunking are not acceptable.
            UpstreamFailed, RateLimited: the embedder gives no vector.
        """
        collection = await self.get_to_write(actor, collection_id, ["input", "id"])
        cut = collection.chunking if chunking is None else check_chunking(chunking, ["input", "chunking"])
        choice = embedder or EmbedderChoice(collection.embedder.connection, collection.embedder.model)
        spec, dimension = await self._probe(collection.workspace_id, choice)
        begun = await self._collections.begin_rebuild(collection, spec, dimension, cut)
        self._rebuilder.wake(begun.id)
        return begun

    # ── reading ──

    async def search(self, actor: Principal, collection_id: CollectionId, query: SearchQuery) -> Sequence[Match]:
        """Find documents, best first.

        Raises:
            NotFound: no such collection.
            InvalidInput: a mode, vector, text or number of matches that cannot be searched for.
            Conflict: it was rebuilt again and again meanwhile.
            UpstreamFailed, RateLimited: the embedder gives no vector.
        """
        if not 1 <= query.top_k <= MAX_TOP_K:
            raise InvalidInput(f"`topK` is 1 to {MAX_TOP_K}.", path=["input", "topK"])
        collection = await self.get(actor, collection_id, ["input", "collectionId"])
        with faults_told():
            return await self._retrieval.search(collection, query)

    async def find(self, actor: Principal, collection_id: CollectionId) -> Collection | None:
        """Find a collection that the caller may see."""
        return next(iter(await self.list_by_id(actor, [collection_id])), None)

    async def list_by_id(self, actor: Principal, collection_ids: Sequence[CollectionId]) -> Sequence[Collection]:
        """List those of the collections that the caller may see, in any order."""
        return await self._collections.list_by_id(actor.within(), collection_ids)

    async def find_by_name(self, actor: Principal, workspace_id: WorkspaceId, name: str) -> Collection | None:
        """Find a collection by the name that nodes use.

        Raises:
            NotFound: no such workspace.
        """
        workspace = actor.workspace(workspace_id)
        try:
            check_collection_name(name, [])
        except InvalidInput:
            return None
        return await self._collections.find_by_name(workspace, name)

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], page: PageRequest
    ) -> Mapping[WorkspaceId, Page[Collection]]:
        """Read the same page of the collections of each of the workspaces, which the caller was shown, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._collections.page_by_workspace(workspace_ids, page)

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._collections.count_by_workspace(workspace_ids)

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names that a graph of the workspace may use."""
        return await self._collections.names(workspace_id)

    async def stats(self, collection_ids: Sequence[CollectionId]) -> Mapping[CollectionId, CollectionStats]:
        """Return how much collections hold that the caller has seen."""
        return await self._collections.stats(collection_ids)

    async def changes(self, actor: Principal, collection_id: CollectionId) -> AsyncGenerator[Collection]:
        """Yield a collection as it is, then whenever it changed, at most once a second; ends when it is deleted.

        Raises:
            NotFound: no such collection.
        """
        await self.get(actor, collection_id, ["collectionId"])
        async with aclosing(self._collections.changes(collection_id)) as beats:
            async for _ in beats:
                changed = await self.find(actor, collection_id)
                if changed is None:
                    return
                yield changed

    async def get(self, actor: Principal, collection_id: CollectionId, path: list[str]) -> Collection:
        """Return a collection that the caller may see; `path` is where its id was given.

        Raises:
            NotFound: no such collection.
        """
        collection = await self.find(actor, collection_id)
        if collection is None:
            raise NotFound("There is no such collection.", path=path)
        return collection

    async def get_to_write(self, actor: Principal, collection_id: CollectionId, path: list[str]) -> Collection:
        """Return a collection that the caller may change.

        Raises:
            NotFound: no such collection.
            Forbidden: the caller may see it only.
        """
        collection = await self.get(actor, collection_id, path)
        actor.demand(collection.workspace_id, Permission.WRITE)
        return collection

    async def _probe(self, workspace_id: WorkspaceId, choice: EmbedderChoice) -> tuple[EmbedderSpec, int]:
        """Return an embedder, and how long its vectors are."""
        with faults_told({"MODEL_REFUSED": ["input", "embedder", "model"]}):
            spec = await self._embedders.resolve(workspace_id, choice.connection, choice.model)
            embedder = await self._embedders.find(workspace_id, spec)
            return spec, (await embedder.embed([_PROBE])).shape[1]


# Where the faults of a node that a caller can correct stand among the arguments of the API.
_CORRECTABLE: Final[Mapping[str, list[str] | None]] = {
    "CONNECTION_NOT_FOUND": ["input", "embedder", "connection"],
    "NO_MODEL": ["input", "embedder", "model"],
    "MODEL_REFUSED": None,
    "DIMENSION_MISMATCH": None,
    "NOT_SUPPORTED": ["input", "mode"],
    "INVALID_QUERY": ["input", "text"],
    "INVALID_VECTOR": ["input", "vector"],
}


@contextmanager
def faults_told(paths: Mapping[str, list[str]] = MappingProxyType({})) -> Generator[None]:
    """Tell the caller of the API what a node would be told; `paths` says where a code's cause stands, if known better.

    Raises:
        InvalidInput, RateLimited, UpstreamFailed: in place of the `NodeFault`.
    """
    try:
        yield
    except NodeFault as fault:
        if fault.code in _CORRECTABLE:
            raise InvalidInput(fault.message, path=paths.get(fault.code, _CORRECTABLE[fault.code])) from fault
        kind = RateLimited if fault.code == "RATE_LIMITED" else UpstreamFailed
        raise kind(fault.message) from fault
