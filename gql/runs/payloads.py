"""Loaders of what runs and nodes worked on and returned: many at once, nothing remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.ids import RunId
from domain.run import NodePayloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ids import WorkflowId
    from domain.layout import Layout
    from gql.context import Context


class NodePlace(NamedTuple):
    """A node (or item) of a run."""

    run_id: RunId
    node_key: str
    item_index: int | None


_NONE = NodePayloads(None, None)


async def load_run_input(context: Context, run_ids: list[RunId]) -> Sequence[bytes | None]:
    """Load the inputs of runs that the caller was shown."""
    payloads = await context.services.runs.payloads(run_ids)
    return [payloads.get(run_id, (None, None))[0] for run_id in run_ids]


async def load_run_output(context: Context, run_ids: list[RunId]) -> Sequence[bytes | None]:
    """Load the outputs of runs that the caller was shown."""
    payloads = await context.services.runs.payloads(run_ids)
    return [payloads.get(run_id, (None, None))[1] for run_id in run_ids]


async def load_node_payloads(context: Context, places: list[NodePlace]) -> Sequence[NodePayloads]:
    """Load whole inputs and outputs of nodes that the caller was shown."""
    found = await context.services.runs.node_payloads(places, is_bounded=False)
    return [found.get(place, _NONE) for place in places]


async def load_partial_text(context: Context, places: list[NodePlace]) -> Sequence[str | None]:
    """Load what nodes, whose runs the caller was shown, have written so far; None for those that stream nothing."""
    found = await context.services.runs.partial_texts(places)
    return [found.get(place) for place in places]


async def load_called(context: Context, places: list[NodePlace]) -> Sequence[RunId | None]:
    """Load the ids of the runs that nodes, whose runs the caller was shown, called last."""
    found = await context.services.runs.called_by(places)
    return [found.get(place) for place in places]


async def load_event_output(context: Context, places: list[NodePlace]) -> Sequence[NodePayloads]:
    """Load outputs of nodes as events show them: up to 64 KiB."""
    found = await context.services.runs.node_payloads(places, is_bounded=True)
    return [found.get(place, _NONE) for place in places]


async def load_layout(context: Context, workflow_ids: list[WorkflowId]) -> Sequence[Layout]:
    """Load where the nodes are now of workflows whose runs the caller was shown."""
    layouts = await context.services.workflows.layouts(workflow_ids)
    return [layouts.get(workflow_id, {}) for workflow_id in workflow_ids]
