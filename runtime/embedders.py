"""What makes vectors of a collection's texts: the server's own model, or a connection's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.collections import EmbedderSpec
from domain.errors import NodeFault
from runtime.clients.embeddings import OpenaiEmbedder

if TYPE_CHECKING:
    from domain.ids import WorkspaceId
    from domain.ports.collections import Embedder
    from runtime.clients.limited import LimitedHttp
    from runtime.clients.local_embeddings import LocalEmbedder
    from runtime.connections import ConnectionService


class Embedders:
    """Finds embedders, with the credentials of connections as they are now."""

    def __init__(self, local: LocalEmbedder, connections: ConnectionService, http: LimitedHttp) -> None:
        self._local = local
        self._connections = connections
        self._http = http

    async def resolve(self, workspace_id: WorkspaceId, connection: str | None, model: str | None) -> EmbedderSpec:
        """Return an embedder's description, with the default where no model is named.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`, `NO_MODEL`, or `MODEL_REFUSED` for a model that the server does not have.
        """
        if model is not None and not model.strip():
            raise NodeFault("NO_MODEL", "`model` is empty: name a model, or leave it out for the default.")
        if connection is None:
            spec = EmbedderSpec(None, self._local.name if model is None else model)
            await self.find(workspace_id, spec)
            return spec
        settings = await self._connections.chat_settings(workspace_id, connection)
        named = settings.default_model if model is None else model
        if named is None:
            raise NodeFault("NO_MODEL", f"The connection {connection!r} has no default model: name one in `model`.")
        return EmbedderSpec(connection, named)

    async def find(self, workspace_id: WorkspaceId, spec: EmbedderSpec) -> Embedder:
        """Return what makes vectors as a collection wants them.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`, or `MODEL_REFUSED` for a model that the server does not have.
        """
        if spec.connection is None:
            # Every model of the server is memory and a download: only the operator chooses it.
            if spec.model != self._local.name:
                message = (
                    f"The server embeds with {self._local.name!r}, not with {spec.model[:80]!r}: choose that, or rebuild "
                    "the collection with another embedder, or set ANABRANCH_EMBEDDING__MODEL."
                )
                raise NodeFault("MODEL_REFUSED", message)
            return self._local
        settings = await self._connections.chat_settings(workspace_id, spec.connection)
        return OpenaiEmbedder(settings.base_url, settings.api_key, spec.model, self._http.under(settings.caps))
