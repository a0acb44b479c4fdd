"""The collections of one workspace, as its nodes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import Conflict, LimitExceeded, NodeFault, NotFound, UserFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.collections import Collection, Match, NewDocument, SearchQuery
    from domain.ids import WorkspaceId
    from domain.ports.collections import Collections
    from domain.ports.node_collections import Written
    from runtime.ingestion import Ingestion
    from runtime.retrieval import Retrieval


class WorkspaceCollections:
    """Implements `NodeCollections` for one workspace."""

    def __init__(
        self, collections: Collections, ingestion: Ingestion, retrieval: Retrieval, workspace_id: WorkspaceId
    ) -> None:
        self._collections = collections
        self._ingestion = ingestion
        self._retrieval = retrieval
        self._workspace_id = workspace_id

    async def search(self, name: str, query: SearchQuery) -> Sequence[Match]:
        """Find the best matches, best first."""
        collection = await self._get(name)
        try:
            return await self._retrieval.search(collection, query)
        except UserFault as fault:
            raise _as_node_fault(fault) from None

    async def upsert(self, name: str, documents: Sequence[NewDocument], moved: Callable[[], None]) -> Written:
        """Write documents, all or none."""
        collection = await self._get(name)
        try:
            return await self._ingestion.upsert(collection, documents, moved)
        except UserFault as fault:
            raise _as_node_fault(fault) from None

    async def _get(self, name: str) -> Collection:
        collection = await self._collections.find_by_name(self._workspace_id, name)
        if collection is None:
            raise NodeFault("COLLECTION_NOT_FOUND", f"There is no collection with the name {name[:80]!r}.")
        return collection


def _as_node_fault(fault: UserFault) -> NodeFault:
    if isinstance(fault, NotFound):
        return NodeFault("COLLECTION_NOT_FOUND", fault.message)
    if isinstance(fault, Conflict):
        return NodeFault("CONFLICT", fault.message, is_retryable=True)
    if isinstance(fault, LimitExceeded):
        return NodeFault("COLLECTION_FULL", fault.message)
    return NodeFault("INVALID_DOCUMENTS", fault.message)
