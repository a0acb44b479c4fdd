"""What remembers how runs ended, for runs that take it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import GraphId, RunId, WorkflowId, WorkspaceId
    from domain.ports.runs import NewRun
    from domain.reruns import ItemEnd, Kept, NodeEnd
    from domain.workflow import Definition


@dataclass(frozen=True, slots=True)
class RunRecord:
    """How the nodes of a run ended, by its log."""

    ends: Mapping[str, NodeEnd]
    outputs: frozenset[str]
    """Keys of the nodes whose outputs are still kept."""


class Reruns(Protocol):
    """What runs recorded, and runs that take it over."""

    async def record(self, run_id: RunId) -> RunRecord:
        """Return how the nodes of a run ended; what is no longer kept is missing."""
        ...

    async def item_ends(self, run_id: RunId, keys: Sequence[str]) -> Mapping[str, Sequence[ItemEnd]]:
        """Return the items of nodes that ended well and whose outputs are kept, in their order."""
        ...

    async def latest(self, workspace_id: WorkspaceId, workflow_id: WorkflowId) -> RunId | None:
        """Return the newest run of a workflow that has ended and is not the trial of a single node."""
        ...

    async def pin(self, workspace_id: WorkspaceId, definition: Definition) -> GraphId:
        """Store a definition for a run, unless the workspace has it already; return its id."""
        ...

    async def add(self, run: NewRun, kept: Sequence[Kept]) -> None:
        """Queue a run whose log begins with `kept`; the database copies the outputs of `run.rerun_of`.

        Raises:
            OutputExpired: an output is gone; then nothing is written.
            NotFound: the workflow is gone.
        """
        ...
