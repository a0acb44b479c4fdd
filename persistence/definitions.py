"""Definitions: stored once per workspace and content, and kept parsed, since parsing is what costs."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from sqlalchemy import Text, cast, literal, select
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.dialects.postgresql import insert as upsert
from uuid_utils.compat import uuid7

from domain.bounds import STORED
from domain.drafts import canonical_json
from domain.ids import GraphId
from domain.layout import bare
from domain.workflow import Definition
from persistence.tables import graphs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.ids import WorkspaceId

# Bytes of JSON; parsed, a definition takes about ten times as much.
_KEPT_BYTES: Final = 16 * 1_048_576


class Definitions:
    """Reads and writes definitions on connections of its callers, all without layout; each is read once."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._kept: OrderedDict[GraphId, tuple[Definition, int]] = OrderedDict()
        self._kept_bytes = kept_bytes
        self._size_bytes = 0

    async def store(self, connection: AsyncConnection, workspace_id: WorkspaceId, definition: Definition) -> GraphId:
        """Store a definition, unless the workspace has it already; return its id.

        Raises:
            InvalidInput: it holds a value that the database cannot hold.
        """
        data = canonical_json(definition)
        digest = sha256(data).digest()
        # As text, so that what is stored is what was hashed.
        written = cast(literal(data.decode(), Text), JSON)
        insert = upsert(graphs).values(
            id=uuid7(),
            workspace_id=workspace_id,
            content_hash=digest,
            definition=written,
            node_count=len(definition.graph.nodes),
        )
        added = await connection.execute(insert.on_conflict_do_nothing().returning(graphs.c.id))
        graph_id = added.scalar_one_or_none()
        if graph_id is None:
            known = select(graphs.c.id).where(graphs.c.workspace_id == workspace_id, graphs.c.content_hash == digest)
            graph_id = (await connection.execute(known)).scalar_one()
        self._keep(GraphId(graph_id), bare(definition), len(data))
        return GraphId(graph_id)

    async def read(self, connection: AsyncConnection, graph_ids: Iterable[GraphId]) -> dict[GraphId, Definition]:
        """Return those of the definitions that are stored."""
        found: dict[GraphId, Definition] = {}
        missing: set[GraphId] = set()
        for graph_id in graph_ids:
            if (kept := self.kept(graph_id)) is None:
                missing.add(graph_id)
            else:
                found[graph_id] = kept
        if missing:
            statement = select(graphs.c.id, cast(graphs.c.definition, Text)).where(graphs.c.id.in_(missing))
            for graph_id, text in (await connection.execute(statement)).all():
                # Those that were stored before layouts were kept apart have positions.
                found[GraphId(graph_id)] = definition = bare(Definition.model_validate_json(text, context=STORED))
                self._keep(GraphId(graph_id), definition, len(text))
        return found

    def kept(self, graph_id: GraphId) -> Definition | None:
        """Return a definition that was used not long ago."""
        entry = self._kept.get(graph_id)
        if entry is None:
            return None
        self._kept.move_to_end(graph_id)
        return entry[0]

    def _keep(self, graph_id: GraphId, definition: Definition, size_bytes: int) -> None:
        if graph_id in self._kept:
            return
        self._kept[graph_id] = (definition, size_bytes)
        self._size_bytes += size_bytes
        while self._size_bytes > self._kept_bytes and len(self._kept) > 1:
            _, (_, size) = self._kept.popitem(last=False)
            self._size_bytes -= size
