"""Where the nodes of workflows are drawn: between a column and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, case, cast, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.workflow import Position
from persistence.tables import workflows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement

    from domain.layout import LayoutPatch


def pairs_of(patch: LayoutPatch) -> dict[str, tuple[float, float]]:
    """Return the positions of a patch as they are stored."""
    return {key: (position.x, position.y) for key, position in patch.items() if isinstance(position, Position)}


def patched(patch: LayoutPatch) -> ColumnElement[Any]:
    """Return the layout with what changes in it: by the database, so that moves at the same time are not undone."""
    kept = workflows.c.layout.op("-", return_type=JSONB())(cast(list(patch), ARRAY(Text)))
    changed = kept.concat(cast(pairs_of(patch), JSONB))
    for key, source in patch.items():
        if isinstance(source, str):
            taken = func.jsonb_build_object(cast(key, Text), workflows.c.layout[source], type_=JSONB())
            changed = changed.concat(case((workflows.c.layout.has_key(source), taken), else_=cast({}, JSONB)))
    return changed


def read_layout(stored: Mapping[str, tuple[float, float]]) -> dict[str, Position]:
    """Return a layout as it is stored."""
    return {key: Position(x=x, y=y) for key, (x, y) in stored.items()}
