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
    NodeEvent,
    NodeFailed,
    NodeOutputDelta,
    NodeRetrying,
    NodeSkipped,
    NodeSucceeded,
    RunEnded,
    read_matches,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gql.client.events import Event
    from gql.client.run_view import NodeView, RunView

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
    sign, style = _SIGNS[node.status]
    line = Text.assemble((f"{sign} ", style), (printable(node.name), "bold"), (f"  {node.kind}", "dim"))
    if node.started_at is not None:
        line.append(f"  {_span(node.started_at, node.finished_at or now)}", style="dim")
    if node.attempt > 1:
        line.append(f"  attempt {node.attempt}", style="yellow")
    if node.total_tokens:
        line.append(f"  {node.total_tokens} tokens", style="dim")
    if len(node.sources) > 1:
        line.append(f"  joins {', '.join(node.sources)}", style="dim")
    if node.note:
        line.append(f"  {node.note}", style="dim")
    below: list[RenderableType] = [
        line,
        *(Text(text, "dim", no_wrap=True, overflow="ellipsis") for text in describe_matches(node.output)),
    ]
    text = printable(str(node.text)).strip()
    if text:
        tail = text if len(text) <= _TAIL_CHARACTERS else f"…{text[-_TAIL_CHARACTERS:]}"
        below.append(Text(tail, style="default" if node.status is NodeRunStatus.RUNNING else "dim"))
    if node.error is not None:
        below.append(Text(f"{node.error.code}: {printable(node.error.message)}", style="red"))
    return Group(*below)


def describe_matches(output: object) -> list[str]:
    """Return a line for each match of a search: its score and how its text begins; none for any other output."""
    return [f"{match.score:.2f}  {printable(_first_line(match.text))}" for match in read_matches(output)]


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
        case NodeOutputDelta():
            return f"+ {printable(event.text)!r}"
        case NodeRetrying() | NodeFailed():
            error = f"{event.error.code}: {printable(event.error.message)}"
            return f"attempt {event.attempt} {'failed, another follows' if isinstance(event, NodeRetrying) else 'FAILED'}: {error}"
        case NodeSkipped():
            return f"SKIPPED ({event.skip_reason})"
        case NodeSucceeded():
            return f"SUCCEEDED in {event.duration_ms} ms" + (
                f", {event.usage.total_tokens} tokens" if event.usage.total_tokens else ""
            )
        case _:
            attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{_words(event.type.removeprefix('Node'))}{attempt}"


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _span(begin: datetime, end: datetime) -> str:
    return f"{max(0.0, (end - begin).total_seconds()):.1f} s"


def utc_now() -> datetime:
    """Return the time that running nodes are measured against."""
    return datetime.now(UTC)
