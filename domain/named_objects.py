"""Whether the objects of a workspace that nodes name in static fields exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.problems import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    match named.to:
        case "connection" if names.connections is not None and named.name not in names.connections:
            hint = did_you_mean(named.name, names.connections) or "Make it with `createConnection`."
            return "UNKNOWN_CONNECTION", f"There is no connection {shown(named.name)}.", hint
        case "collection" if names.collections is not None and named.name not in names.collections:
            hint = did_you_mean(named.name, names.collections) or "Make it with `createCollection`."
            return "UNKNOWN_COLLECTION", f"There is no collection {shown(named.name)}.", hint
        case "dataTable" if names.data_tables is not None and named.name not in names.data_tables:
            hint = did_you_mean(named.name, names.data_tables) or "Make it with `createDataTable`."
            return "UNKNOWN_DATA_TABLE", f"There is no table {shown(named.name)}.", hint
        case "dataColumn" if names.data_tables is not None:
            table = next((one.name for one in siblings if one.to == "dataTable"), None)
            columns = None if table is None else names.data_tables.get(table)
            if table is None or columns is None or named.name in columns:
                return None
            hint = did_you_mean(named.name, columns)
            return "UNKNOWN_COLUMN", f"The table {shown(table)} has no column {shown(named.name)}.", hint
        case _:
            return None
