"""One tenant who has an object of every kind, and a run with an event of every type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy.engine import make_url

from domain import events as e
from domain.connections import HttpAuthScheme, HttpAuthSettings, PostgresSettings
from domain.ids import Prefix, RunId, WorkflowId, from_global, to_global
from domain.reruns import RerunFrom
from domain.run import DeltaChannel, Failure, SkipReason, WaitReason
from domain.workflow import Definition, Graph, GraphNode, WorkflowDraft
from persistence.event_facts import facts
from runtime.connections import ConnectionDraft
from runtime.reruns import RerunRequest
from tests.gql.test_permissions import OBJECTS
from tests.support.identity import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.identity import Principal
    from runtime.services import Services

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EMAIL = "seeded@example.com"
CONNECTIONS = (
    PostgresSettings("db.example.com", 5432, "sales", "reader"),
    HttpAuthSettings(HttpAuthScheme.HEADER, ("https://api.example.com",), parameter="X-Key"),
)
"""Of the kinds that the matrix does not make."""
_FAILURE = Failure("NO", "No.", node_key="step", attempt=1)


@dataclass(frozen=True)
class Seeded:
    """Who owns it, and the ids of what is there."""

    owner: Principal
    ids: dict[Prefix, list[str]]

    @property
    def all_ids(self) -> list[str]:
        """Every id."""
        return [one for ids in self.ids.values() for one in ids]


async def seed(services: Services, email: str = EMAIL) -> Seeded:
    """Sign a person up and give them an object of every kind."""
    owner = (await services.identity.sign_up(email, PASSWORD, "Seeded", None, address="")).principal
    ids = {prefix: [await make(services, owner)] for prefix, make in OBJECTS.items()}
    run_id, key = ids[Prefix.NODE_RUN][0].removeprefix(f"{Prefix.NODE_RUN.value}_").split(".")
    told = UUID(str(from_global(Prefix.RUN, f"{Prefix.RUN.value}_{run_id}")))
    assert key == "step"
    for settings in CONNECTIONS:
        made = await services.connections.create(
            owner, None, ConnectionDraft(f"c-{uuid4().hex}", settings, credential="a key")
        )
        ids[Prefix.CONNECTION].append(to_global(Prefix.CONNECTION, made.id))
    ids[Prefix.RUN] += await _relatives(services, owner, ids)
    question = UUID(str(from_global(Prefix.APPROVAL, ids[Prefix.APPROVAL][0])))
    ids[Prefix.RUN].append(to_global(Prefix.RUN, told))
    url = services.settings.database_url
    assert url is not None
    connection = await _connect(url.get_secret_value())
    try:
        waiting = await connection.fetchval("SELECT run_id FROM approvals WHERE id = $1", question)
        ids[Prefix.RUN].append(to_global(Prefix.RUN, UUID(str(waiting))))
        await _log(connection, told, _every_event(told, question, owner.user.id))
        ids[Prefix.WORKFLOW].append(await _of_a_gone_kind(services, owner, connection))
    finally:
        await connection.close()
    return Seeded(owner, ids)


async def _connect(url: str) -> Any:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return await asyncpg.connect(plain)


async def _relatives(services: Services, owner: Principal, ids: dict[Prefix, list[str]]) -> list[str]:
    """Run a workflow that runs another, and run a run again; return the ids of the caller and of the first."""
    called = await services.workflows.get(owner, WorkflowId(from_global(Prefix.WORKFLOW, ids[Prefix.WORKFLOW][0])))
    assert called is not None
    node = GraphNode(key="sub", config={"subworkflow": {"workflow": called.slug}})
    draft = WorkflowDraft("Calls", definition=Definition(graph=Graph(nodes=(node,))))
    caller = await services.workflows.create(owner, None, draft)
    run = await services.runs.start(owner, caller.id, {})
    first = RunId(from_global(Prefix.RUN, ids[Prefix.RUN][0]))
    for one in (run.id, first):
        async for _ in services.runs.follow(owner, one, None):
            pass
    for _ in range(3):
        await services.reruns.rerun(owner, RerunRequest(first, RerunFrom.START))
    return [to_global(Prefix.RUN, run.id)]


async def _of_a_gone_kind(services: Services, owner: Principal, connection: Any) -> str:
    """Make a workflow with nodes of a kind whose plug-in was taken away since."""
    node = GraphNode(key="gone", config={"transform": {"fields": [{"name": "one", "value": 1}]}})
    draft = WorkflowDraft("Taken", definition=Definition(graph=Graph(nodes=(node,))))
    made = await services.workflows.create(owner, None, draft)
    await connection.execute(
        "UPDATE graphs SET definition = replace(definition::text, '\"transform\"', '\"taken\"')::json"
        " WHERE id = (SELECT graph_id FROM workflows WHERE id = $1)",
        made.id,
    )
    return to_global(Prefix.WORKFLOW, made.id)


async def _log(connection: Any, run_id: UUID, logged: Sequence[e.Event]) -> None:
    """Write events behind the end of a run's log: no run has them all, and only their reading is of interest."""
    seq = await connection.fetchval("SELECT max(seq) FROM run_events WHERE run_id = $1", run_id)
    for place, event in enumerate(logged, seq + 1):
        of_node = isinstance(event, e.NodeEventBase)
        await connection.execute(
            "INSERT INTO run_events (run_id, seq, event_key, type, at, node_key, item_index, execution, data)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            run_id, place, f"seeded/{place}", event.type, NOW,
            event.node_key if of_node else None,
            event.item_index if of_node else None,
            event.execution if of_node else None,
            facts(event),
        )  # fmt: skip
    await connection.execute("UPDATE runs SET last_seq = last_seq + $2 WHERE id = $1", run_id, len(logged))


def _every_event(run: UUID, question: UUID, by: UUID) -> list[e.Event]:
    node = ("step", None, 1)
    return [
        e.RunRecovered(1, ["step"]),
        e.RunWaiting(1, NOW),
        e.RunPaused(1, by),
        e.RunResumed(1, by),
        e.RunCancelRequested(by, "Enough."),
        e.RunFailed(_FAILURE),
        e.RunCanceled(),
        e.RunCrashed(_FAILURE),
        e.NodeExpanded(*node, 3),
        e.NodeProgressed(*node, 1, 3),
        e.NodeOutputDelta(*node, DeltaChannel.TEXT, "A word", 0),
        e.NodeRetrying(*node, _FAILURE, NOW),
        e.NodeWaiting(*node, WaitReason.APPROVAL, NOW, approval=question),
        e.NodeWaiting(*node, WaitReason.SUB_RUN, None, sub_run=run),
        e.ApprovalRequested(*node, question),
        e.ApprovalAnswered(*node, question, "approve", by),
        e.NodeFailed(*node, _FAILURE),
        e.NodeSkipped(*node, next(iter(SkipReason))),
        e.NodeReused(*node, run, ("out",)),
        e.NodeCanceled(*node),
    ]
