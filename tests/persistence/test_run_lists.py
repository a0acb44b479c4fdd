from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from domain.errors import CursorInvalid
from domain.ports.paging import PageRequest
from domain.run import RunOrder, RunOrderField, RunQuery, TriggerKind
from tests.support.engines import bare_world
from tests.support.kinds import graph

if TYPE_CHECKING:
    from domain.ids import RunId
    from persistence.database import Database


async def change(database: Database, run: RunId, change_: str) -> None:
    async with database.connection() as connection:
        await connection.execute(text(f"UPDATE runs SET {change_} WHERE id = :id"), {"id": run})  # noqa: S608 -- ours


async def test_runs_are_ordered_by_their_end_or_by_how_long_they_took_and_unfinished_ones_are_last(
    database: Database,
) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    early_long, late_short, unfinished, never_started = [await w.owned(place) for _ in range(4)]
    times = {
        early_long: ("2026-01-01 10:00:00", "2026-01-01 10:30:00.000001"),
        late_short: ("2026-01-02 10:00:00", "2026-01-02 10:00:00.000002"),
        never_started: (None, "2026-01-03 10:00:00"),
    }
    for run, (started, finished) in times.items():
        begun = "NULL" if started is None else f"'{started}Z'"
        await change(database, run, f"status = 'CANCELED', started_at = {begun}, finished_at = '{finished}Z'")

    async def ordered(field: RunOrderField, *, is_descending: bool) -> list[RunId]:
        """Return all runs in order, read one by one: cursors hold too."""
        found: list[RunId] = []
        after: str | None = None
        for _ in range(4):
            order = RunOrder(field, is_descending=is_descending)
            page = await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1, after=after), order)
            found += [run.id for run in page.items]
            after = page.cursors[-1]
        return found

    by_end, by_length = RunOrderField.FINISHED_AT, RunOrderField.DURATION
    assert await ordered(by_end, is_descending=True) == [never_started, late_short, early_long, unfinished]
    assert await ordered(by_end, is_descending=False) == [early_long, late_short, never_started, unfinished]
    assert (await ordered(by_length, is_descending=True))[:2] == [early_long, late_short]
    assert (await ordered(by_length, is_descending=False))[:2] == [late_short, early_long]
    cursor = (await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1))).cursors[0]
    with pytest.raises(CursorInvalid):
        await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1, after=cursor), RunOrder(by_end))
    cursor = (await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1), RunOrder(by_end))).cursors[0]
    with pytest.raises(CursorInvalid):
        await w.reader.list(w.workspace_id, RunQuery(), PageRequest(1, after=cursor), RunOrder(by_length))
    with pytest.raises(CursorInvalid):
        await w.reader.list_by_workflow([place[1]], RunQuery(), PageRequest(1, after=cursor), RunOrder(by_length))


async def test_runs_are_found_by_trigger_error_and_caller(database: Database) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    by_hand, failed, called = [await w.owned(place) for _ in range(3)]
    where = {"nodeKey": "a", "itemIndex": None, "attempt": 1}
    failure = json.dumps({"code": "TIMED_OUT", "message": "Late.", "isRetryable": True, **where})
    async with database.driver() as connection:
        await connection.execute("UPDATE runs SET status = 'FAILED', failure = $2 WHERE id = $1", failed, failure)
    await change(database, called, "trigger = 'SUBWORKFLOW'")

    async def found(query: RunQuery) -> list[RunId]:
        page = await w.reader.list(w.workspace_id, query, PageRequest(100))
        assert await w.reader.count(w.workspace_id, query) == len(page.items)
        return [run.id for run in page.items]

    assert await found(RunQuery(triggers=(TriggerKind.SUBWORKFLOW,))) == [called]
    assert await found(RunQuery(triggers=(TriggerKind.MANUAL,), error_codes=("TIMED_OUT",))) == [failed]
    assert await found(RunQuery(error_codes=("OTHER",))) == []
    assert await found(RunQuery(is_top_level=True)) == [failed, by_hand]
    assert await found(RunQuery(is_top_level=False)) == [called]


async def test_runs_are_found_by_all_of_their_labels_as_name_and_value_and_by_their_concurrency_key(
    database: Database,
) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))
    both, one, swapped, plain = [await w.owned(place) for _ in range(4)]
    labels = {both: [["env", "test"], ["team", "a"]], one: [["env", "test"]], swapped: [["test", "env"]]}
    for run, given in labels.items():
        await change(database, run, f"labels = '{json.dumps(given)}'")
    await change(database, one, "concurrency_key = 'k'")
    await change(database, plain, "concurrency_key = ''")

    async def found(**query: Any) -> list[RunId]:
        page = await w.reader.list(w.workspace_id, RunQuery(**query), PageRequest(100))
        return [run.id for run in page.items]

    assert await found(labels=(("env", "test"),)) == [one, both]
    assert await found(labels=(("team", "a"), ("env", "test"))) == [both]
    assert await found(labels=(("test", "env"),)) == [swapped]
    assert await found(labels=(("env", "prod"),)) == await found(labels=(("env", ""),)) == []
    assert (await found(concurrency_key="k"), await found(concurrency_key="")) == ([one], [plain])


async def test_the_runs_of_several_workflows_are_read_and_counted_at_once(database: Database) -> None:
    w = bare_world(database)
    first, second, idle = [await w.add(graph("a")) for _ in range(3)]
    runs = [await w.owned(place) for place in (first, second, first, first)]
    ids = [first[1], second[1], idle[1]]
    pages = await w.reader.list_by_workflow(ids, RunQuery(), PageRequest(2))
    assert {key: [run.id for run in page.items] for key, page in pages.items()} == {
        first[1]: [runs[3], runs[2]], second[1]: [runs[1]], idle[1]: [],
    }  # fmt: skip
    assert [pages[key].has_next for key in ids] == [True, False, False]
    behind = PageRequest(2, after=pages[first[1]].cursors[-1])
    assert [run.id for run in (await w.reader.list_by_workflow(ids[:1], RunQuery(), behind))[first[1]].items] == [
        runs[0]
    ]
    assert await w.reader.count_by_workflow(ids, RunQuery()) == {first[1]: 3, second[1]: 1, idle[1]: 0}
