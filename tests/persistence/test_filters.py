from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from sqlalchemy import Text, cast, column, func, literal, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from domain.filters import read_filter
from persistence.filters import where
from persistence.tables import documents

if TYPE_CHECKING:
    from domain.json_value import Json
    from persistence.database import Database

ROWS: list[Json] = [
    {
        "lang": "en",
        "year": 2020,
        "tags": ["a", "b"],
        "source": {"year": 1.5, "name": "x.y"},
        "at": "2026-01-01T00:00:00Z",
    },
    {"lang": "de", "year": "2020", "tags": "abc", "none": None, "flag": True},
    {"lang": None, "year": 3, "tags": [["a"], 1, {"k": 1}], "flag": False, "quote'\"": "; DROP TABLE users --"},
    {"2": 2},
    {"lang": "en", "year": 10**15, "source": [1], "at": "2026-06-01T00:00:00Z"},
]

CASES: list[tuple[Json, list[int]]] = [
    ({"path": "lang", "eq": "en"}, [0, 4]),
    ({"path": "lang", "eq": None}, [2]),
    ({"path": "lang", "ne": "en"}, [1, 2, 3]),
    ({"path": "lang", "in": ["de", None]}, [1, 2]),
    ({"path": "lang", "in": []}, []),
    ({"path": "lang", "exists": True}, [0, 1, 4]),
    ({"path": "lang", "exists": False}, [2, 3]),
    ({"path": "none", "exists": True}, []),
    ({"path": "year", "eq": 2020.0}, [0]),
    ({"path": "year", "gt": 3}, [0, 4]),
    ({"path": "year", "gte": 3, "lt": 2021}, [0, 2]),
    ({"path": "year", "gt": "2"}, [1]),
    ({"path": "at", "lte": "2026-03-01T00:00:00Z"}, [0]),
    ({"path": "source.year", "lt": 2}, [0]),
    ({"path": "source.name", "contains": "."}, [0]),
    ({"path": "tags", "contains": "a"}, [0, 1]),
    ({"path": "tags", "contains": ["a"]}, [2]),
    ({"path": "tags", "contains": 1}, [2]),
    ({"path": "tags", "contains": {"k": 1}}, [2]),
    ({"path": "tags", "contains": "b"}, [0, 1]),
    ({"path": "tags", "eq": ["a", "b"]}, [0]),
    ({"path": "tags", "eq": ["b", "a"]}, []),
    ({"path": "tags.0", "eq": "a"}, [0]),
    ({"path": "tags.-1", "eq": "b"}, [0]),
    ({"path": "tags.0", "in": ["a", "b"]}, [0]),
    ({"path": "tags.0", "ne": "a"}, [1, 2, 3, 4]),
    ({"path": "2", "eq": 2}, [3]),
    ({"or": [{"path": "year", "in": list(range(1_000))}] * 40}, [2]),
    ({"path": "flag", "eq": False}, [2]),
    ({"path": "quote'\"", "eq": "; DROP TABLE users --"}, [2]),
    ({"not": {"path": "lang", "eq": "en"}}, [1, 2, 3]),
    ({"and": []}, [0, 1, 2, 3, 4]),
    ({"or": []}, []),
    (
        {"or": [{"path": "flag", "eq": True}, {"and": [{"path": "lang", "eq": "en"}, {"path": "year", "lt": 9999}]}]},
        [0, 1],
    ),
    ({"not": {"path": "source.year", "gt": 100}}, [0, 1, 2, 3, 4]),
]


@pytest.mark.parametrize(("raw", "expected"), CASES, ids=[orjson.dumps(raw).decode()[:80] for raw, _ in CASES])
async def test_a_condition_picks_exactly_the_rows_it_describes(
    database: Database, raw: Json, expected: list[int]
) -> None:
    items = func.jsonb_array_elements(cast(literal(orjson.dumps(ROWS).decode(), Text), JSONB))
    rows = items.table_valued(column("value", JSONB), with_ordinality="place").render_derived()
    statement = select(rows.c.place).where(where(read_filter(raw), rows.c.value)).order_by(rows.c.place)
    async with database.connection() as connection:
        found = (await connection.execute(statement)).scalars().all()
    assert [place - 1 for place in found] == expected


async def test_an_index_serves_what_is_compared_for_equality(database: Database) -> None:
    condition = read_filter({"and": [{"path": "source.name", "eq": "x"}, {"path": "year", "gt": 3}]})
    statement = select(documents.c.id).where(where(condition, documents.c.metadata))
    asked = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    async with database.connection() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = (await connection.exec_driver_sql(f"EXPLAIN {asked}")).scalars().all()
    assert any("documents_metadata_idx" in line for line in plan), "\n".join(plan)


async def test_any_number_of_values_is_one_parameter_of_the_statement(database: Database) -> None:
    values: list[Json] = [*range(1_000)]
    raw: Json = {"or": [{"path": "year", "in": values}] * 190}
    items = func.jsonb_array_elements(cast(literal(orjson.dumps(ROWS).decode(), Text), JSONB))
    rows = items.table_valued(column("value", JSONB), with_ordinality="place").render_derived()
    statement = select(rows.c.place).where(where(read_filter(raw), rows.c.value))
    async with database.connection() as connection:
        found = (await connection.execute(statement)).scalars().all()
    assert [place - 1 for place in found] == [2]
