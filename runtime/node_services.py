"""What the process offers to the nodes of all runs: outbound HTTP, models, credentials, collections, secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.clients.chat import OpenaiChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.ids import WorkspaceId
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import ChatModel, Credential, HttpClient
    from runtime.connections import ConnectionService
    from runtime.secrets import SecretService


class ProcessServices:
    """Implements `runtime.attempt.NodeServices`."""

    def __init__(
        self,
        http: HttpClient,
        connections: ConnectionService,
        secrets: SecretService,
        collections: Callable[[WorkspaceId], NodeCollections],
    ) -> None:
        self._http = http
        self._connections = connections
        self._secrets = secrets
        self._collections = collections

    @property
    def http(self) -> HttpClient:
        """Outbound HTTP behind the guard."""
        return self._http

    async def chat(self, workspace_id: WorkspaceId, connection: str | None) -> ChatModel:
        """Return the model API of a connection, with its credential as it is now."""
        settings = await self._connections.chat_settings(workspace_id, connection)
        return OpenaiChatModel(settings.base_url, settings.api_key, settings.default_model, self._http)

    async def credential(self, workspace_id: WorkspaceId, connection: str) -> Credential:
        """Return what an HTTP_AUTH connection adds to requests."""
        return await self._connections.credential(workspace_id, connection)

    def collections(self, workspace_id: WorkspaceId) -> NodeCollections:
        """Return the vector collections of a workspace."""
        return self._collections(workspace_id)

    async def secrets(self, workspace_id: WorkspaceId, names: frozenset[str]) -> Mapping[str, str]:
        """Return the values of secrets."""
        return await self._secrets.values(workspace_id, names)
