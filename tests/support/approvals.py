"""A question that a run asks, for tests that only need one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from domain.events import ApprovalRequested
from domain.ids import Prefix, to_global
from domain.workflow import Definition, Graph, GraphNode, WorkflowDraft

if TYPE_CHECKING:
    from domain.identity import Principal
    from runtime.services import Services


async def asked(services: Services, owner: Principal) -> str:
    """Start a run that asks, and return the id of its question."""
    node = GraphNode(key="ask", config={"approval": {"title": "Well?"}})
    draft = WorkflowDraft(f"Matrix {uuid4().hex}", definition=Definition(graph=Graph(nodes=(node,))))
    workflow = await services.workflows.create(owner, None, draft)
    run = await services.runs.start(owner, workflow.id, {})
    async for logged in services.runs.follow(owner, run.id, None):
        if isinstance(logged.event, ApprovalRequested):
            return to_global(Prefix.APPROVAL, logged.event.approval)
    raise AssertionError
