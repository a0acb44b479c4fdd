"""What the process offers to the nodes of all runs: outbound HTTP, models, credentials, collections, secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.clients.chat import OpenaiChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.data_tables import DataTable
    from domain.ids import WorkspaceId
    from domain.json_value import Json
    from domain.ports.data_tables import ExternalDatabase, ExternalTables
    from domain.ports.node_collections import NodeCollections
    from domain.ports.outbound import ChatModel, Credential, HttpClient
    from domain.prices import PriceList
    from domain.suspensions import SubRunCall
    from domain.versions import VersionTrack
    from runtime.clients.limited import LimitedHttp
    from runtime.connection_limits import ConnectionLimits
    from runtime.connections import ConnectionService
    from runtime.data_tables import DataTableService
    from runtime.secrets import SecretService
    from runtime.sub_workflows import SubWorkflows


class ProcessServices:
    """Implements `runtime.attempt.NodeServices`."""

    def __init__(
        self,
        http: LimitedHttp,
        connections: ConnectionService,
        secrets: SecretService,
        *,
        collections: Callable[[WorkspaceId], NodeCollections],
        data_tables: DataTableService,
        external_tables: ExternalTables,
        sub_workflows: SubWorkflows,
        limits: ConnectionLimits,
        prices: PriceList,
    ) -> None:
        self._http = http
        self._connections = connections
        self._secrets = secrets
        self._collections = collections
        self._data_tables = data_tables
        self._external_tables = external_tables
        self._sub_workflows = sub_workflows
        self._limits = limits
        self._prices = prices

    @property
    def http(self) -> HttpClient:
        """Outbound HTTP behind the guard."""
        return self._http

    async def chat(self, workspace_id: WorkspaceId, connection: str | None) -> ChatModel:
        """Return the model API of a connection, with its credential as it is now; its own prices come first."""
        settings = await self._connections.chat_settings(workspace_id, connection)
        http, prices = self._http.under(settings.caps), replace(settings.prices, otherwise=self._prices)
        return OpenaiChatModel(settings.base_url, settings.api_key, settings.default_model, http, prices)

    async def credential(self, workspace_id: WorkspaceId, connection: str) -> Credential:
        """Return what an HTTP_AUTH connection adds to requests."""
        return await self._connections.credential(workspace_id, connection)

    def collections(self, workspace_id: WorkspaceId) -> NodeCollections:
        """Return the vector collections of a workspace."""
        return self._collections(workspace_id)

    async def data_table(self, workspace_id: WorkspaceId, name: str) -> DataTable:
        """Return a built-in table."""
        return await self._data_tables.get_for_node(workspace_id, name)

    async def external_database(self, workspace_id: WorkspaceId, connection: str) -> ExternalDatabase:
        """Return where the database of a POSTGRES connection is and how one signs in."""
        return await self._connections.external_database(workspace_id, connection)

    @property
    def external_tables(self) -> ExternalTables:
        """Tables of other databases, behind the guard."""
        return self._external_tables

    async def sub_workflow(
        self, workspace_id: WorkspaceId, slug: str, which: int | VersionTrack, given: Json
    ) -> SubRunCall:
        """Return the call of a workflow."""
        return await self._sub_workflows.call(workspace_id, slug, which, given)

    def on_room(self, attempts: str, wake: Callable[[], bool]) -> bool:
        """Call `wake` when there is room for a node."""
        return self._limits.on_room(attempts, wake)

    def leave_queue(self, attempts: str) -> None:
        """Give up the place of a node that will not come when there is room."""
        self._limits.leave(attempts)

    async def secrets(self, workspace_id: WorkspaceId, names: frozenset[str]) -> Mapping[str, str]:
        """Return the values of secrets."""
        return await self._secrets.values(workspace_id, names)
