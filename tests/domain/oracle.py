"""How a run ends, written from domain.md alone: by declaration, in topological order, without events or time.

Order decides nothing here: a run without cancellation in which nobody fails, or whose policy is FINISH_BRANCHES, ends
exactly so. With FAIL_FAST the run status is still certain, but a node is as here, or CANCELED, or never begun, since it
depends on the order which of them came before the first failure; the same holds for what a cancellation cuts off.
A node with `join: ANY` and one taken edge runs, even when another of its edges leads from a failed branch. Of a `forEach`
every item ends as it will, unless one that fails takes the node with it: then the others may be cut off as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUCCEEDED, FAILED, SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"


@dataclass(frozen=True)
class Step:
    """A node as far as the semantics of graphs see it."""

    incoming: Sequence[tuple[int, str]]
    """Source and port of each edge; sources stand before this node."""
    is_any: bool
    on_error: str
    is_wanted: bool
    """What its `when` gives."""
    will_fail: bool
    """Whether it fails after all its tries."""
    items: Sequence[bool] | None = None
    """With `forEach`, whether each item fails after all its tries; `will_fail` does not count then."""
    on_item_error: str = "FAIL"

    @property
    def fails(self) -> bool:
        """Whether the node as a whole fails."""
        return self.will_fail if self.items is None else self.on_item_error == "FAIL" and any(self.items)


@dataclass(frozen=True)
class End:
    """How a run ends when everybody gets the time to finish."""

    run: str
    nodes: Sequence[str]


def foresee(steps: Sequence[Step]) -> End:
    """Return the end of a run of these nodes, which stand in topological order."""
    nodes: list[str] = []
    ports: list[str | None] = []
    """The port that each node chose; None = none of its edges is taken."""
    is_lost: list[bool] = []
    """Whether each node failed for good, or was left out because somebody before it did."""
    for step in steps:
        is_taken = [ports[source] == port for source, port in step.incoming]
        is_behind_failure = any(is_lost[source] for source, _ in step.incoming)
        if not step.incoming:
            starts = True
        elif step.is_any:
            starts = any(is_taken)
        else:
            starts = any(is_taken) and not is_behind_failure
        if not starts or not step.is_wanted:
            nodes.append(SKIPPED)
            ports.append(None)
            is_lost.append(not starts and is_behind_failure)
        elif step.fails:
            nodes.append(FAILED)
            ports.append(_PORT_OF_FAILURE[step.on_error])
            is_lost.append(step.on_error == "STOP")
        else:
            nodes.append(SUCCEEDED)
            ports.append("out")
            is_lost.append(False)
    is_failed = any(node == FAILED and step.on_error == "STOP" for node, step in zip(nodes, steps, strict=True))
    return End(FAILED if is_failed else SUCCEEDED, nodes)


_PORT_OF_FAILURE: Mapping[str, str | None] = {"STOP": None, "CONTINUE": "out", "BRANCH": "error"}
