"""Runs that are to be made, and what their idempotency keys stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import ApiKeyId, GraphId, RunId, UserId, WorkflowId, WorkspaceId
    from domain.run import TriggerKind
    from domain.webhooks import Delivery
    from domain.workflow import ConcurrencyPolicy


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The run that an idempotency key stands for."""

    run_id: RunId
    request_hash: bytes
    """Of the workflow and the input that it was started with."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """What `startRun` inserts."""

    id: RunId
    workspace_id: WorkspaceId
    workflow_id: WorkflowId
    graph_id: GraphId
    node_count: int
    trigger: TriggerKind
    triggered_by: UserId | None
    input: bytes
    created_at: datetime
    priority: int = 3
    labels: tuple[tuple[str, str], ...] = ()
    concurrency_key: str | None = None
    turns: ConcurrencyPolicy | None = None
    """What it has to obey under its concurrency key; it begins in the queue then."""
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    replaces: RunId | None = None
    """The run that its idempotency key stands for until now: it gives the key up and is asked to stop."""
    rerun_of: RunId | None = None
    version: int | None = None
    """Number of the workflow's version; None for a draft."""
    api_key_id: ApiKeyId | None = None
    """The key that it was asked for with."""
    delivery: Delivery | None = None
    """The call of a webhook that starts it: remembered with the run, so that none starts a second one."""
