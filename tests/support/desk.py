"""The services that start, rerun and try on a world's engine, and somebody who uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from domain.errors import NodeFault
from domain.identity import Role
from domain.json_codec import decode
from domain.reruns import RerunFrom
from domain.run import RunQuery
from persistence.reruns import PostgresReruns
from persistence.workflows import PostgresWorkflows
from runtime.reruns import RerunRequest, RerunService
from runtime.runs import RunService
from tests.runtime.test_runs import Shelf, caller
from tests.support.engines import Kinds

if TYPE_CHECKING:
    from domain.events import LoggedEvent
    from domain.identity import Principal
    from domain.ids import GraphId, RunId, WorkspaceId
    from domain.kinds import NodeContext, NodeKind
    from domain.workflow import Definition
    from runtime.registry import Registry
    from runtime.reruns import Reran
    from tests.support.engines import World

NO = NodeFault("NO", "It does not work.")


class Pins(PostgresReruns):
    """The real repository, which tells the world of definitions that it pins."""

    def __init__(self, w: World) -> None:
        super().__init__(w.database, PostgresWorkflows(w.database))
        self._world = w

    async def pin(self, workspace_id: WorkspaceId, definition: Definition) -> GraphId:
        """Store a definition."""
        graph_id = await super().pin(workspace_id, definition)
        self._world.definitions[graph_id] = definition
        return graph_id


class Desk:
    """The services of a world, and a caller who may do anything in it."""

    def __init__(self, w: World, kind: NodeKind, actor: Principal) -> None:
        self.world = w
        self.shelf = Shelf(w)
        self.actor = actor
        self.runs = RunService(self.shelf, w.queue, w.reader, w.engine, w.progress)
        registry = cast("Registry", Kinds(kind))
        self.service = RerunService(self.shelf, Pins(w), w.reader, registry, w.engine, w.progress)

    async def ran(self, definition: Definition, given: Any = None) -> RunId:
        """Run a definition to its end."""
        run = await self.runs.start(self.actor, await self.shelf.add(definition), given)
        await self.world.ended(run.id)
        return run.id

    async def rerun(self, run_id: RunId, from_: RerunFrom = RerunFrom.FAILED, *keys: str, **more: Any) -> Reran:
        """Ask for a rerun."""
        return await self.service.rerun(self.actor, RerunRequest(run_id, from_, keys or None, **more))

    async def log_of(self, reran: Reran) -> list[LoggedEvent]:
        """Follow the rerun to its end."""
        assert reran.run is not None
        return await self.world.ended(reran.run.id)

    async def output(self, run_id: RunId) -> Any:
        """Return what a run returned."""
        return decode((await self.world.reader.payloads([run_id]))[run_id][1] or b"null")

    async def run_count(self) -> int:
        """Count the runs of the workspace."""
        return await self.world.reader.count(self.world.workspace_id, RunQuery())


async def desk(w: World, kind: NodeKind, role: Role = Role.OWNER) -> Desk:
    return Desk(w, kind, await caller(w, role))


def counting(counts: dict[str, int], key: str, then: object = "fine") -> Any:
    async def step(_: NodeContext) -> object:
        counts[key] = counts.get(key, 0) + 1
        return then

    return step
