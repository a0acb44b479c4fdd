"""Running again: whole runs from what they recorded, and single nodes."""

from __future__ import annotations

from typing import Annotated, cast

import strawberry
from strawberry.scalars import JSON

from domain.identity import Permission
from domain.ids import Prefix, RunId, WorkflowId
from domain.json_value import Json
from domain.reruns import RerunFrom
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.enums import expose
from gql.fields import mutation
from gql.ids import from_id
from gql.payloads import Payload
from gql.runs.types import Run
from runtime.reruns import Reran, RerunGraph, RerunRequest

expose(
    RerunFrom,
    description="Which nodes a rerun selects.",
    values={
        RerunFrom.FAILED: "All without a recorded success; of a `forEach`, the items without one.",
        RerunFrom.START: "All.",
        RerunFrom.NODES: "Those in `nodeKeys`.",
    },
)
expose(
    RerunGraph,
    description="Which graph a rerun uses.",
    values={
        RerunGraph.SAME: "The one that the run had.",
        RerunGraph.DRAFT: "The draft as it is now.",
        RerunGraph.PUBLISHED: "The version published now.",
    },
)


@strawberry.input(description="What `rerunRun` takes.")
class RerunRunInput:
    """What `rerunRun` takes."""

    run_id: strawberry.ID = strawberry.field(description="The run to go by.")
    from_: RerunFrom = strawberry.field(name="from", description="Which nodes are selected.")
    node_keys: list[str] | None = strawberry.field(
        default=ABSENT, description="The keys of the selected nodes, 500 at most; with NODES only."
    )
    input: JSON | None = strawberry.field(default=ABSENT, description="Another input; what depends on it runs again.")
    graph: RerunGraph = strawberry.field(default=RerunGraph.SAME, description="Which graph is run.")
    is_dry_run: bool = strawberry.field(default=False, description="Whether only to tell what would be done.")


@strawberry.input(description="What `tryNode` takes.")
class TryNodeInput:
    """What `tryNode` takes."""

    workflow_id: strawberry.ID = strawberry.field(description="Which workflow.")
    node_key: str = strawberry.field(description="Key of the node.")
    run_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The run whose input and outputs it sees; the latest if absent."
    )


@strawberry.type(description="What `rerunRun` gives.")
class RerunRunPayload(Payload):
    """What `rerunRun` gives."""

    run: Run | None = strawberry.field(default=None, description="The new run; null after a dry run.")
    reused_node_keys: list[str] | None = strawberry.field(
        default=None, description="Keys of the nodes whose outputs are reused; at most 500."
    )
    executed_node_keys: list[str] | None = strawberry.field(
        default=None, description="Keys of the nodes that run again; at most 500."
    )

    @classmethod
    def of(cls, reran: Reran) -> RerunRunPayload:
        """Convert what the service gives."""
        return cls(
            run=None if reran.run is None else Run.of(reran.run),
            reused_node_keys=list(reran.reused),
            executed_node_keys=list(reran.executed),
        )


@strawberry.type(description="What `tryNode` gives.")
class TryNodePayload(Payload):
    """What `tryNode` gives."""

    run: Run | None = strawberry.field(default=None, description="The run of this one node.")


@strawberry.type
class RerunMutation:
    """Running again."""

    @mutation(
        Permission.EXECUTE,
        description="Makes a new run that reuses recorded outputs of nodes that are neither selected nor behind a selected "
        "or changed one; what runs again has its effects again.",
    )
    async def rerun_run(
        self,
        info: Info,
        input: Annotated[RerunRunInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RerunRunPayload:
        """Rerun a run."""
        run_id = RunId(from_id(Prefix.RUN, input.run_id, "input", "runId"))
        given = cast("Json", or_none(input.input))
        request = RerunRequest(
            run_id, input.from_, or_none(input.node_keys), given, input.graph, is_dry_run=input.is_dry_run
        )
        return RerunRunPayload.of(await info.context.services.reruns.rerun(info.context.principal, request))

    @mutation(
        Permission.EXECUTE,
        description="Runs one node of a draft on the outputs recorded in an earlier run; its effects are real.",
    )
    async def try_node(
        self,
        info: Info,
        input: Annotated[TryNodeInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> TryNodePayload:
        """Try a node."""
        workflow_id = WorkflowId(from_id(Prefix.WORKFLOW, input.workflow_id, "input", "workflowId"))
        named = or_none(input.run_id)
        run_id = None if named is None else RunId(from_id(Prefix.RUN, named, "input", "runId"))
        actor, service = info.context.principal, info.context.services.reruns
        return TryNodePayload(run=Run.of(await service.try_node(actor, workflow_id, input.node_key, run_id)))
