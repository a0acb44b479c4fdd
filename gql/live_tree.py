"""A run drawn in the terminal: a tree that changes in place, or plain lines where nobody looks at a screen."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from domain.run import NodeRunStatus, RunStatus
from gql.client.events import (
    ApprovalEvent,
    NodeEvent,
    NodeExpanded,
    NodeFailed,
    NodeOutputDelta,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeSucceeded,
    NodeWaiting,
    RunEnded,
    read_matches,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gql.client.events import Event, Usage, Wait
    from gql.client.run_view import Items, NodeView, RunView

_SIGNS: dict[NodeRunStatus, tuple[str, str]] = {
    NodeRunStatus.PENDING: ("·", "dim"),
    NodeRunStatus.RUNNING: ("▶", "cyan"),
    NodeRunStatus.RETRYING: ("↻", "yellow"),
    NodeRunStatus.WAITING: ("⏸", "yellow"),
    NodeRunStatus.SUCCEEDED: ("✔", "green"),
    NodeRunStatus.FAILED: ("✘", "red"),
    NodeRunStatus.SKIPPED: ("○", "dim"),
    NodeRunStatus.CANCELED: ("■", "magenta"),
    NodeRunStatus.REUSED: ("♻", "green"),
}
_RUN_STYLES = {
    RunStatus.SUCCEEDED: "bold green",
    RunStatus.FAILED: "bold red",
    RunStatus.CRASHED: "bold red",
    RunStatus.CANCELED: "bold magenta",
}
_TAIL_CHARACTERS = 600
_BAR_CELLS = 20
# What a model or a server wrote must not steer the terminal: C0 but tab and newline, DEL and C1, and changes of direction.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text without characters that a terminal obeys."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def draw(view: RunView, now: datetime) -> RenderableType:
    """Return the run as a tree; a node at which branches meet hangs beside them, where they left the main stream."""
    title = Text.assemble(
        (printable(view.workflow), "bold"),
        ("  "),
        (view.status.value, _RUN_STYLES.get(view.status, "bold cyan")),
        (f"  {_span(view.started_at or view.created_at, view.finished_at or now)}", "dim"),
        (f"  {view.id}", "dim"),
    )
    root = Tree(title, guide_style="dim")
    branches: dict[str | None, Tree] = {None: root}
    for key, parent in _parents(view).items():
        branches[key] = branches[parent].add(_node(view.nodes[key], now))
    if view.error is not None:
        return Group(root, Text(f"{view.error.code}: {printable(view.error.message)}", style="red"))
    return root


def _parents(view: RunView) -> dict[str, str | None]:
    """Return what each node hangs under: the last node that every way to it leads through; None = the run itself."""
    ways: dict[str, list[str | None]] = {}
    for node in view.nodes.values():
        # A source that comes later belongs to a cycle, which cannot be run but may be looked at.
        leading = [[*ways[source], source] for source in node.sources if source in ways] or [[None]]
        shared = [steps[0] for steps in zip(*leading, strict=False) if len(set(steps)) == 1]
        ways[node.key] = shared
    return {key: way[-1] for key, way in ways.items()}


def _node(node: NodeView, now: datetime) -> RenderableType:
    below: list[RenderableType] = [
        _node_head(node, now),
        *(Text(text, "dim", no_wrap=True, overflow="ellipsis") for text in describe_matches(node.output)),
    ]
    if node.wait is not None and node.wait.approval is not None:
        below.append(Text(f"? {printable(node.wait.approval.title)}", style="bold yellow"))
    text = printable(str(node.text)).strip()
    if text:
        tail = text if len(text) <= _TAIL_CHARACTERS else f"…{text[-_TAIL_CHARACTERS:]}"
        below.append(Text(tail, style="default" if node.status is NodeRunStatus.RUNNING else "dim"))
    if node.error is not None:
        below.append(Text(f"{node.error.code}: {printable(node.error.message)}", style="red"))
    return Group(*below)


def _node_head(node: NodeView, now: datetime) -> Text:
    sign, style = _SIGNS[node.status]
    line = Text.assemble((f"{sign} ", style), (printable(node.name), "bold"), (f"  {node.kind}", "dim"))
    if node.started_at is not None:
        line.append(f"  {_span(node.started_at, node.finished_at or now)}", style="dim")
    if node.attempt > 1:
        line.append(f"  attempt {node.attempt}", style="yellow")
    if node.total_tokens:
        line.append(f"  {node.total_tokens} tokens", style="dim")
    if node.items.count is not None:
        line.append_text(_bar(node.items, node.items.count))
    if len(node.sources) > 1:
        line.append(f"  joins {', '.join(node.sources)}", style="dim")
    if node.wait is not None:
        line.append(f"  {_told(node.wait)}", style="yellow")
    if node.note:
        line.append(f"  {node.note}", style="dim")
    return line


def _bar(items: Items, count: int) -> Text:
    """Return how far a list is, as a bar and as numbers."""
    filled = _BAR_CELLS if count == 0 else min(items.done * _BAR_CELLS // count, _BAR_CELLS)
    bar = Text.assemble(
        "  ", ("━" * filled, "green"), ("─" * (_BAR_CELLS - filled), "dim"), (f" {items.done}/{count}", "dim")
    )
    if items.failed:
        bar.append(f"  {items.failed} failed", style="red")
    if items.waiting:
        bar.append(f"  {len(items.waiting)} waiting", style="yellow")
    return bar


def is_worth_a_line(event: Event) -> bool:
    """Whether an event is shown where each has a line: of the items of a list only what is out of the ordinary."""
    is_of_item = isinstance(event, NodeEvent) and event.item_index is not None
    return not is_of_item or isinstance(event, (NodeFailed, NodeRetrying, NodeWaiting, ApprovalEvent))


def describe_matches(output: object) -> list[str]:
    """Return a line for each match of a search: its score and how its text begins; none for any other output."""
    return [f"{match.score:.2f}  {printable(_first_line(match.text))}" for match in read_matches(output)]


def describe_usage(usage: Usage) -> str:
    """Return tokens and, where it is known, what they cost."""
    cost = "" if usage.cost is None else f", {usage.cost:f} {printable(usage.currency or '')}"
    return f"{usage.input_tokens} in, {usage.output_tokens} out{cost}"


_AWAITED = {"TIMER": "waits", "APPROVAL": "asks a person", "SUB_RUN": "waits for another run"}


def _told(wait: Wait) -> str:
    what = _AWAITED.get(wait.reason, "waits")
    return what if wait.until is None else f"{what} until {wait.until:%Y-%m-%d %H:%M:%S} UTC"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def describe(event: Event, begin: datetime) -> str:
    """Return the event as one line: seconds since the run was asked for, the node, what happened."""
    since = f"{max(0.0, (event.at - begin).total_seconds()):7.3f} s"
    if not isinstance(event, NodeEvent):
        return f"{since}  {_run_line(event)}"
    item = "" if event.item_index is None else f"[{event.item_index}]"
    return f"{since}  {event.node_key}{item}: {_node_line(event)}"


def _run_line(event: Event) -> str:
    if isinstance(event, RunEnded):
        why = f": {event.error.code}: {printable(event.error.message)}" if event.error else ""
        return f"run {event.status.value}{why}"
    return f"run {_words(event.type.removeprefix('Run'))}"


def _node_line(event: NodeEvent) -> str:
    match event:
        case NodeExpanded() | NodeOutputDelta():
            return _under_way_line(event)
        case NodeRetrying() | NodeFailed():
            error = f"{event.error.code}: {printable(event.error.message)}"
            return f"attempt {event.attempt} {'failed, another follows' if isinstance(event, NodeRetrying) else 'FAILED'}: {error}"
        case NodeWaiting() | ApprovalEvent():
            return _told(event) if isinstance(event, NodeWaiting) else _question_line(event)
        case NodeSkipped() | NodeReused():
            return _undone_line(event)
        case NodeSucceeded():
            return f"SUCCEEDED in {event.duration_ms} ms" + (
                f", {event.usage.total_tokens} tokens" if event.usage.total_tokens else ""
            )
        case _:
            attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{_words(event.type.removeprefix('Node'))}{attempt}"


def _under_way_line(event: NodeExpanded | NodeOutputDelta) -> str:
    if isinstance(event, NodeOutputDelta):
        return f"+ {printable(event.text)!r}"
    done = f"{event.items_done} of " if isinstance(event, NodeProgressed) else ""
    return f"{done}{event.item_count} items"


def _undone_line(event: NodeSkipped | NodeReused) -> str:
    if isinstance(event, NodeSkipped):
        return f"SKIPPED ({event.skip_reason})"
    return f"REUSED from {event.from_run.id}" if event.from_run else "REUSED"


def _question_line(event: ApprovalEvent) -> str:
    asked = event.approval
    if event.type == "ApprovalRequested":
        return f"asks: {printable(asked.title)}"
    by = printable(asked.answered_by.name) if asked.answered_by else "somebody"
    return f"{by} answered {printable(asked.action or '')}"


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _span(begin: datetime, end: datetime) -> str:
    return f"{max(0.0, (end - begin).total_seconds()):.1f} s"


def utc_now() -> datetime:
    """Return the time that running nodes are measured against."""
    return datetime.now(UTC)
