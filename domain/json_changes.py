"""In which places two JSON values differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from domain.json_value import Json

MAX_CHANGES: Final = 100
"""In how many places a value may differ before it is given whole."""


class ChangeKind(StrEnum):
    """What happened to a value."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A value that differs; `before` of what was added and `after` of what was removed are None."""

    kind: ChangeKind
    path: tuple[str, ...]
    """Names of fields and places in lists, from 0."""
    before: Json
    after: Json


def changes(before: Json, after: Json, path: tuple[str, ...] = ()) -> list[FieldChange]:
    """Return where two values differ, down to the leaves, in the order of the fields; at most 100 changes.

    A part that differs in more places than that is one change; lists are compared place by place; the order of an
    object's fields does not count, but 1, 1.0 and true are three values.
    """
    found: list[FieldChange] = []
    for part in _changes(before, after, path):
        found.extend(part)
        if len(found) > MAX_CHANGES:
            return [FieldChange(ChangeKind.CHANGED, path, before, after)]
    return found


def _changes(before: Json, after: Json, path: tuple[str, ...]) -> Iterator[list[FieldChange]]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_fields(before, after, path)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        old, new = cast("Sequence[Json]", before), cast("Sequence[Json]", after)
        yield from _of_fields(_numbered(old), _numbered(new), path)
    # Their written forms, since to Python 1, 1.0 and True are equal.
    elif type(before) is not type(after) or repr(before) != repr(after):
        yield [FieldChange(ChangeKind.CHANGED, path, before, after)]


def _of_fields(
    before: Mapping[str, Json], after: Mapping[str, Json], path: tuple[str, ...]
) -> Iterator[list[FieldChange]]:
    for name, value in before.items():
        if name in after:
            yield changes(value, after[name], (*path, name))
        else:
            yield [FieldChange(ChangeKind.REMOVED, (*path, name), value, None)]
    for name, value in after.items():
        if name not in before:
            yield [FieldChange(ChangeKind.ADDED, (*path, name), None, value)]


def _numbered(items: Sequence[Json]) -> dict[str, Json]:
    return {str(place): item for place, item in enumerate(items)}
