"""What nodes use by name: connections, secrets, collections, tables, other workflows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ids import WorkflowId, WorkspaceId

MAX_USES: Final = 100
"""How many uses of one thing are listed."""


class UseKind(StrEnum):
    """What is used; the values are those of `Reference`."""

    CONNECTION = "connection"
    SECRET = "secret"  # noqa: S105 -- no password
    COLLECTION = "collection"
    DATA_TABLE = "dataTable"
    WORKFLOW = "workflow"


UNKNOWN_CODES: Final[Mapping[UseKind, str]] = {
    UseKind.CONNECTION: "UNKNOWN_CONNECTION",
    UseKind.SECRET: "UNKNOWN_SECRET",
    UseKind.COLLECTION: "UNKNOWN_COLLECTION",
    UseKind.DATA_TABLE: "UNKNOWN_DATA_TABLE",
    UseKind.WORKFLOW: "UNKNOWN_WORKFLOW",
}
"""The problem of a draft that uses what does not exist."""

WORDS: Final[Mapping[UseKind, str]] = {
    UseKind.CONNECTION: "connection",
    UseKind.SECRET: "secret",
    UseKind.COLLECTION: "collection",
    UseKind.DATA_TABLE: "table",
    UseKind.WORKFLOW: "workflow",
}
"""How they are called in messages."""


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A thing that a node names; a name that a template makes is none."""

    kind: UseKind
    name: str
    node_key: str


@dataclass(frozen=True, slots=True)
class Usable:
    """A thing of a workspace that nodes can name; a workflow that names itself does not use itself."""

    workspace_id: WorkspaceId
    kind: UseKind
    name: str
    itself: WorkflowId | None = None


@dataclass(frozen=True, slots=True)
class NodeUse:
    """A node that uses a thing."""

    workflow_id: WorkflowId
    node_key: str
    is_published: bool
    """Whether the published version does, not only the draft."""
