"""How what nodes and items did is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from persistence import node_run_rows
from persistence.node_run_rows import read_partial_texts
from tests.support.engines import bare_world
from tests.support.kinds import graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from persistence.database import Database

ITEMS: Final = 50
_DELTAS: Final = """
INSERT INTO run_events (run_id, seq, event_key, type, at, node_key, item_index, execution, data)
SELECT $1, 10 + i, 'NodeOutputDelta/a/' || i % $2 || '/1/TEXT/' || i / $2, 'NodeOutputDelta', now(), 'a', i % $2, 1,
       json_build_object('channel', 'TEXT', 'text', chr(97 + i / $2), 'offset', i / $2)
  FROM generate_series(0, 20 * $2::int - 1) i
"""
_ITEMS: Final = """
INSERT INTO node_runs (run_id, node_key, item_index, status, attempts, first_seq)
SELECT $1, 'a', i, 'RUNNING', 1, 4 FROM generate_series(-1, $2::int - 1) i
"""


def scans(plan: dict[str, Any]) -> Iterator[int]:
    """Yield how often each part of a plan that finds events was run."""
    if plan.get("Relation Name", "").startswith("run_events") and plan["Actual Rows"]:
        yield plan["Actual Loops"]
    for part in plan.get("Plans", []):
        yield from scans(part)


async def test_the_texts_of_many_items_are_gathered_in_one_pass_over_the_log(database: Database) -> None:
    w = bare_world(database)
    run_id = await w.owned(await w.add(graph("a")))
    async with database.direct() as direct:
        await direct.execute(_DELTAS, run_id, ITEMS)
        await direct.execute(_ITEMS, run_id, ITEMS)
        await direct.execute("ANALYZE run_events")
        await direct.execute("ANALYZE node_runs")
    wanted = {"runs": [run_id] * ITEMS, "keys": ["a"] * ITEMS, "items": list(range(ITEMS))}
    async with database.connection() as connection:
        places = [(run_id, "a", item) for item in range(ITEMS)]
        assert await read_partial_texts(connection, places) == dict.fromkeys(places, "abcdefghijklmnopqrst")
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {node_run_rows._PARTIAL_TEXTS}")
        (plan,) = (await connection.execute(explained, wanted)).scalar_one()
    assert list(scans(plan["Plan"])) == [1]
