"""What the composition root makes in one of its steps for the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runtime.node_collections import WorkspaceCollections

if TYPE_CHECKING:
    from domain.ids import WorkspaceId
    from domain.ports.collections import Collections
    from domain.ports.node_collections import NodeCollections
    from runtime.api_keys import ApiKeyService
    from runtime.audit import AuditService
    from runtime.collections import CollectionService
    from runtime.connections import ConnectionService
    from runtime.documents import DocumentService
    from runtime.encryption import Vault
    from runtime.identity import IdentityService
    from runtime.ingestion import Ingestion
    from runtime.rebuilds import Rebuilder
    from runtime.retrieval import Retrieval
    from runtime.secrets import SecretService
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class StoredParts:
    """Identity, secrets and connections: what needs keys; and who did what with them."""

    identity: IdentityService
    secrets: SecretService
    connections: ConnectionService
    api_keys: ApiKeyService
    audit: AuditService
    vault: Vault


@dataclass(frozen=True, slots=True)
class VectorParts:
    """Collections: what keeps them, and what is done with them."""

    store: Collections
    ingestion: Ingestion
    retrieval: Retrieval
    rebuilder: Rebuilder
    collections: CollectionService
    documents: DocumentService

    def of_workspace(self, workspace_id: WorkspaceId) -> NodeCollections:
        """Return what nodes of a workspace may use."""
        return WorkspaceCollections(self.store, self.ingestion, self.retrieval, workspace_id)


def own_database(settings: Settings) -> list[str]:
    """Return the address of our own database, which no node may reach, where it has one."""
    if settings.database_url is None:
        return []
    parts = urlsplit(settings.database_url.get_secret_value())
    return [f"{parts.hostname}:{parts.port or 5432}"] if parts.hostname else []
