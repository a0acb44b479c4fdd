"""Which nodes of a rerun stand, written from domain.md alone: by declaration, in topological order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tests.domain.oracle import Step


def foresee_kept(
    steps: Sequence[Step], ends: Sequence[str | None], from_: str, again: Collection[int]
) -> list[str | None]:
    """Return REUSED or SKIPPED for each node that stands, None for each that is executed.

    `ends` is how each node ended before; `again` the nodes that are named or changed.
    """
    kept: list[str | None] = []
    for index, (step, end) in enumerate(zip(steps, ends, strict=True)):
        took_a_way = end == "FAILED" and step.on_error != "STOP"
        has_result = end == "SUCCEEDED" or (took_a_way and from_ == "NODES")
        is_reached_anew = index in again or any(kept[source] is None for source, _ in step.incoming)
        if from_ == "START" or is_reached_anew or not (has_result or end == "SKIPPED"):
            kept.append(None)
        else:
            kept.append("REUSED" if has_result else "SKIPPED")
    return kept


def foresee_items(
    steps: Sequence[Step],
    kept: Sequence[str | None],
    well: Iterable[tuple[int, int | None]],
    from_: str,
    again: Collection[int],
) -> set[tuple[int, int]]:
    """Return the items that stand: those that ended well, of nodes that are executed for no other reason than the rest.

    `kept` is what `foresee_kept` says; `well` tells which nodes and items ended well before.
    """
    return {
        (index, item)
        for index, item in well
        if item is not None
        and from_ != "START"
        and kept[index] is None
        and index not in again
        and all(kept[source] is not None for source, _ in steps[index].incoming)
    }
