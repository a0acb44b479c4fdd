"""Whether the objects of a workspace that nodes name in static fields exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.problems import did_you_mean, shown
from domain.uses import UNKNOWN_CODES, WORDS, UseKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from domain.configs import NamedObject
    from domain.references import WorkspaceNames


def unknown_name(
    named: NamedObject, siblings: Iterable[NamedObject], names: WorkspaceNames
) -> tuple[str, str, str | None] | None:
    """Return code, message and hint of what is wrong with a name; None where it exists or nothing is known.

    Args:
        named: the name and where it stands.
        siblings: all names of the same configuration: a column belongs to the table that stands beside it.
        names: what exists in the workspace.
    """
    if named.to == "dataColumn":
        return _unknown_column(named, siblings, names.data_tables or {})
    kind = UseKind(named.to)
    known: Mapping[UseKind, Collection[str] | None] = {
        UseKind.CONNECTION: names.connections,
        UseKind.COLLECTION: names.collections,
        UseKind.DATA_TABLE: names.data_tables,
        UseKind.WORKFLOW: names.workflows,
    }
    there = known[kind]
    if there is None or named.name in there or (kind is UseKind.WORKFLOW and named.name == names.itself):
        return None
    made = f"{kind[:1].upper()}{kind[1:]}"
    hint = did_you_mean(named.name, there) or f"Make it with `create{made}`."
    return UNKNOWN_CODES[kind], f"There is no {WORDS[kind]} {shown(named.name)}.", hint


def _unknown_column(
    named: NamedObject, siblings: Iterable[NamedObject], tables: Mapping[str, frozenset[str]]
) -> tuple[str, str, str | None] | None:
    table = next((one.name for one in siblings if one.to == "dataTable"), None)
    columns = None if table is None else tables.get(table)
    if table is None or columns is None or named.name in columns:
        return None
    hint = did_you_mean(named.name, columns)
    return "UNKNOWN_COLUMN", f"The table {shown(table)} has no column {shown(named.name)}.", hint
