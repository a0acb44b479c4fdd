"""Versions of workflows: numbered, and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import GraphId, UserId, VersionId, WorkflowId, WorkspaceId
    from domain.layout import Layout

MAX_NOTE = 10_000


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """An immutable copy of a draft, made by publishing."""

    id: VersionId
    workspace_id: WorkspaceId
    workflow_id: WorkflowId
    number: int
    graph_id: GraphId
    layout: Layout
    note: str | None
    published_at: datetime
    published_by: UserId | None


class VersionTrack(StrEnum):
    """A version that moves as the workflow is edited."""

    PUBLISHED = "PUBLISHED"
    """The version published last."""
    DRAFT = "DRAFT"
    """The draft; for development."""
