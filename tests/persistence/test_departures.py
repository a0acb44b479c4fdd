from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from domain.errors import Fenced, StillWanted
from domain.events import Event, RunPaused, RunStarted, RunWaiting
from domain.ports.runs import Departure, Group
from domain.run import RunStatus
from persistence.completions import Completions
from tests.support.engines import BY, World, bare_world, names, writing
from tests.support.kinds import graph

if TYPE_CHECKING:
    from uuid import UUID

    from domain.errors import AnabranchError
    from domain.ids import RunId
    from persistence.database import Database

DUE = datetime(2026, 12, 24, tzinfo=UTC)


def stored(_group: Group, _base: int) -> None:
    """Nobody looks."""


def refused(_group: Group, error: AnabranchError) -> None:
    raise error


def group(
    run_id: UUID, *events: Event, epoch: int = 1, until: datetime | None = None, commands: tuple[UUID, ...] = ()
) -> Departure:
    made = Departure(run_id, epoch, datetime.now(UTC), list(events), stored, refused, commands)
    made.until = until
    return made


async def owned(w: World) -> RunId:
    return await w.owned(await w.add(graph("a")))


async def depart(w: World, run_id: RunId, until: datetime | None = DUE, *, commands: tuple[UUID, ...] = ()) -> int:
    leaving = group(run_id, RunWaiting(1, until), until=until, commands=commands)
    return await Completions(w.database, w.executor.hex).store(leaving)


async def test_a_run_that_leaves_waits_unheld_and_comes_back_when_its_time_has_come(database: Database) -> None:
    w = bare_world(database)
    run_id = await owned(w)
    assert await depart(w, run_id) == 1
    (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
    assert (run.status, run.last_seq) == (RunStatus.WAITING, 2)
    assert names(await w.log_rows(run_id)) == ["RunQueued", "RunWaiting"]
    assert await w.queue.claim(w.executor, 9) == []
    assert await w.queue.claim_waiting(w.executor, DUE - timedelta(seconds=1), 9) == []
    (claimed,) = await w.queue.claim_waiting(w.executor, DUE, 9)
    assert (claimed.id, claimed.epoch, claimed.last_seq) == (run_id, 3, 2)
    assert await w.queue.claim_waiting(w.executor, DUE, 9) == [], "it is held now"


async def test_a_run_that_is_held_and_has_not_come_back_yet_keeps_no_other_from_it(database: Database) -> None:
    w = bare_world(database)
    first, second = await owned(w), await owned(w)
    await depart(w, first)
    await depart(w, second, DUE + timedelta(seconds=1))
    for run_id in (first, second):
        assert [run.id for run in await w.queue.claim_waiting(w.executor, DUE + timedelta(days=1), 1)] == [run_id]


async def test_a_run_that_waits_for_somebody_comes_back_for_a_command_alone(database: Database) -> None:
    w = bare_world(database)
    run_id, other = await owned(w), await owned(w)
    for one in (run_id, other):
        await depart(w, one, None)
    assert await w.queue.claim_waiting(w.executor, DUE, 9) == []
    await w.queue.add_command(run_id, "cancel", "cancel", None)
    assert [claimed.id for claimed in await w.queue.claim_waiting(w.executor, DUE, 9)] == [run_id]


async def test_a_run_of_which_something_is_asked_does_not_leave(database: Database) -> None:
    w = bare_world(database)
    run_id = await owned(w)
    await w.queue.add_command(run_id, "cancel", "cancel", None)
    with pytest.raises(StillWanted):
        await depart(w, run_id)
    assert names(await w.log_rows(run_id)) == ["RunQueued"]
    ((command,),) = (await w.queue.pending_commands(w.executor)).values()
    await depart(w, run_id, commands=(command.id,))
    assert await w.queue.claim_waiting(w.executor, DUE - timedelta(days=1), 9) == [], "the command is answered"


async def test_a_departure_that_is_repeated_is_done_once(database: Database) -> None:
    w = bare_world(database)
    run_id = await owned(w)
    assert await depart(w, run_id) == await depart(w, run_id) == 1
    await w.queue.claim_waiting(w.executor, DUE, 9)
    assert await depart(w, run_id) == 1, "its answer was lost until after the run had come back"
    assert names(await w.log_rows(run_id)) == ["RunQueued", "RunWaiting"]


async def test_who_has_left_or_lost_a_run_can_say_nothing_more_of_it(database: Database) -> None:
    w = bare_world(database)
    run_id, lost = await owned(w), await owned(w)
    await depart(w, run_id)
    completions = Completions(database, w.executor.hex)
    with pytest.raises(Fenced):
        await completions.store(group(run_id, RunWaiting(2, None)))
    await w.queue.take_over(w.executor, w.executor, 9)
    with pytest.raises(Fenced):
        await depart(w, lost)
    assert names(await w.log_rows(lost)) == ["RunQueued"]


async def paused(w: World) -> RunId:
    """Return a run that this executor holds and that was paused while it was at work."""
    run_id = await owned(w)
    await w.pause(run_id)
    ((command,),) = (await w.queue.pending_commands(w.executor)).values()
    async with writing(w):
        w.log.append(
            Group(run_id, 1, datetime.now(UTC), [RunStarted(), RunPaused(1, BY)], stored, refused, (command.id,))
        )
    return run_id


async def test_a_paused_run_leaves_without_an_event_and_comes_back_in_its_time(database: Database) -> None:
    w = bare_world(database)
    run_id = await paused(w)
    assert await Completions(database, w.executor.hex).store(group(run_id, until=DUE)) == 3
    assert names(await w.log_rows(run_id)) == ["RunQueued", "RunStarted", "RunPaused"]
    assert await w.status_of(run_id) is RunStatus.PAUSED
    assert await w.queue.claim_waiting(w.executor, DUE - timedelta(seconds=1), 9) == []
    (claimed,) = await w.queue.claim_waiting(w.executor, DUE, 9)
    assert (claimed.id, claimed.epoch, claimed.last_seq) == (run_id, 3, 3)


async def test_a_paused_run_of_which_something_is_asked_does_not_leave(database: Database) -> None:
    w = bare_world(database)
    run_id = await paused(w)
    await w.resume(run_id)
    completions = Completions(database, w.executor.hex)
    with pytest.raises(StillWanted):
        await completions.store(group(run_id))
    assert [claimed.id for claimed in await w.queue.claim_waiting(w.executor, DUE, 9)] == [], "it is held"
    ((command,),) = (await w.queue.pending_commands(w.executor)).values()
    await completions.store(group(run_id, commands=(command.id,)))
    with pytest.raises(Fenced):
        await completions.store(group(run_id))
    assert await w.queue.claim_waiting(w.executor, DUE, 9) == [], "the command is answered"
