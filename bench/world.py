"""What the benchmarks share: services on a fresh embedded database, an account, graphs, and the raw commit beside it."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from uuid_utils.compat import uuid7

from domain.ids import RunId
from domain.workflow import Definition
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from runtime.services import Services, open_services
from runtime.settings import Settings
from runtime.workflows import WorkflowDraft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    from domain.identity import Principal
    from domain.workflow import Workflow
    from persistence.database import Database

_PAD = "x" * 170  # with the rest of the object, an output of 200 bytes


@dataclass
class World:
    """Services, a signed-in actor and a second connection to the same database."""

    services: Services
    actor: Principal
    database: Database
    raw: PreparedStatement[asyncpg.Record]
    """Inserts one row, on a connection that stays: one that ends takes its core with it into what is measured next."""

    async def workflow(self, name: str, definition: Definition) -> Workflow:
        """Store a workflow."""
        return await self.services.workflows.create(self.actor, None, WorkflowDraft(name, None, None, definition))

    async def run(self, workflow: Workflow, given: object) -> float:
        """Run a workflow and return the seconds from the call to the stored end."""
        started = time.perf_counter()
        run = await self.services.runs.start(self.actor, workflow.id, given)  # pyright: ignore[reportArgumentType]
        async for _ in self.services.progress.follow(run.id):
            pass
        return time.perf_counter() - started

    async def queue(self, workflow: Workflow, count: int, given: str) -> list[RunId]:
        """Insert queued runs in one transaction, so that the engine sees all of them at once."""
        ids = [RunId(uuid7()) for _ in range(count)]
        async with self.database.direct() as connection, connection.transaction():
            await connection.execute(
                """
                INSERT INTO runs (id, workspace_id, workflow_id, graph_id, status, last_seq, node_count, trigger, input)
                SELECT id, $2, $3, $4, 'QUEUED', 1, $5, 'MANUAL', $6::json FROM unnest($1::uuid[]) AS t(id)
                """,
                ids,
                workflow.workspace_id,
                workflow.id,
                workflow.graph_id,
                len(workflow.definition.graph.nodes),
                given,
            )
            await connection.execute(
                "INSERT INTO queued_runs (run_id, workspace_id, priority) SELECT id, $2, 3 FROM unnest($1::uuid[]) AS t(id)",
                ids,
                workflow.workspace_id,
            )
            await connection.execute(
                """
                INSERT INTO run_events (run_id, seq, event_key, type, at)
                SELECT id, 1, 'RunQueued', 'RunQueued', now() FROM unnest($1::uuid[]) AS t(id)
                """,
                ids,
            )
        return ids

    async def raw_commit_s(self, count: int = 300) -> float:
        """Return the median seconds of a commit of one row by one client."""
        spans: list[float] = []
        for _ in range(count):
            started = time.perf_counter()
            await self.raw.fetch("x" * 200)
            spans.append(time.perf_counter() - started)
        return median(spans)

    async def assert_durable(self) -> None:
        """Check that nothing was bought with durability."""
        async with self.database.direct() as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                value = await connection.fetchval(f"SHOW {setting}")
                assert value == "on", f"{setting} is {value}"
            unlogged = await connection.fetchval(
                "SELECT count(*) FROM pg_class WHERE relpersistence <> 'p' AND relkind IN ('r', 'p')"
                " AND relnamespace = 'public'::regnamespace"
            )
            assert unlogged == 0


@asynccontextmanager
async def world(**settings_: Any) -> AsyncGenerator[World]:
    """Open services on a fresh embedded database, with settings that differ from the defaults."""
    with TemporaryDirectory(prefix="anabranch-bench-") as directory:
        data_dir = Path(directory)
        await asyncio.to_thread(data_dir.chmod, 0o755)
        settings = Settings(data_dir=data_dir, **settings_)
        async with (
            open_services(settings) as services,
            embedded_postgres(data_dir) as url,
            open_database(url) as database,
            database.direct() as connection,
        ):
            signed_in = await services.identity.sign_up("bench@example.com", "bench-password", None, None, address="")
            await connection.execute("CREATE TABLE raw_commits (id bigserial PRIMARY KEY, value text)")
            raw = await connection.prepare("INSERT INTO raw_commits (value) VALUES ($1)")
            made = World(services, signed_in.principal, database, raw)
            await made.assert_durable()
            gc.collect()
            yield made


def _node(key: str, value: str) -> dict[str, Any]:
    fields = [{"name": "v", "value": value}, {"name": "pad", "value": _PAD}]
    return {"key": key, "config": {"transform": {"fields": fields}}}


def chain(length: int) -> Definition:
    """Return a chain of TRANSFORM nodes with outputs of 200 bytes."""
    nodes = [_node("n0", "{{ input.x }}")]
    nodes += [_node(f"n{i}", f"{{{{ nodes.n{i - 1}.output.v }}}}") for i in range(1, length)]
    edges = [{"source": f"n{i}", "target": f"n{i + 1}"} for i in range(length - 1)]
    return Definition.model_validate({"graph": {"nodes": nodes, "edges": edges}})


def fan(width: int, at_once: int | None = None) -> Definition:
    """Return one node, `width` nodes behind it, and one behind those; all of them may run at once unless it is said."""
    middle = [f"m{i}" for i in range(width)]
    nodes = [_node("a", "{{ input.x }}"), *(_node(key, "{{ nodes.a.output.v }}") for key in middle)]
    nodes.append(_node("z", "{{ nodes.m0.output.v }}"))
    edges = [{"source": "a", "target": key} for key in middle] + [{"source": key, "target": "z"} for key in middle]
    settings = {"maxParallelNodes": at_once or min(width, 500)}
    return Definition.model_validate({"graph": {"nodes": nodes, "edges": edges}, "settings": settings})
