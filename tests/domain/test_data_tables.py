from __future__ import annotations

import pytest

from domain.data_tables import ColumnType, DataColumn, check_columns, check_table_name
from domain.errors import InvalidInput, LimitExceeded

HOSTILE = ["'; DROP TABLE users; --", 'x", (select version())', "a\0b", "x" * 1_000_000, "", "ä", "-x", "a b", "\ud800"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_is_not_called_anything(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_table_name(name)
    assert caught.value.path == ["input", "name"]


@pytest.mark.parametrize("name", [*HOSTILE, "a.b", "a-b", "1a", "x" * 64])
def test_a_column_is_not_called_anything(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_columns([DataColumn("ok", ColumnType.TEXT), DataColumn(name, ColumnType.TEXT)], [])
    assert caught.value.path == ["input", "columns", "1", "name"]


@pytest.mark.parametrize("name", ["answers", "2026.q1", "A_b-c"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert check_table_name(name) == name


def test_the_columns_of_the_key_are_required_without_being_asked() -> None:
    columns = check_columns([DataColumn("a", ColumnType.TEXT), DataColumn("b", ColumnType.TEXT)], ["b"])
    assert [column.is_required for column in columns] == [False, True]


@pytest.mark.parametrize(
    ("columns", "keys", "path"),
    [
        ([], [], ["columns"]),
        (["a", "b", "a"], [], ["columns", "2", "name"]),
        (["a"], ["b"], ["keyColumns", "0"]),
        (["a", "b"], ["a", "a"], ["keyColumns", "1"]),
    ],
)
def test_what_is_wrong_with_columns_is_told_by_its_place(columns: list[str], keys: list[str], path: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_columns([DataColumn(name, ColumnType.TEXT) for name in columns], keys)
    assert caught.value.path == ["input", *path]


def test_json_makes_no_row_unique() -> None:
    with pytest.raises(InvalidInput, match="JSON cannot make a row unique"):
        check_columns([DataColumn("a", ColumnType.JSON)], ["a"])


@pytest.mark.parametrize(("columns", "keys"), [(201, 0), (20, 17)])
def test_a_table_has_not_any_number_of_columns(columns: int, keys: int) -> None:
    names = [f"c{number}" for number in range(columns)]
    with pytest.raises(LimitExceeded):
        check_columns([DataColumn(name, ColumnType.TEXT) for name in names], names[:keys])
