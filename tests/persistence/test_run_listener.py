from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.events import RunStarted
from persistence.append_statement import CHANNEL
from persistence.connection_permits import LIMIT_CHANNEL
from persistence.run_listener import PostgresListener
from persistence.workflow_changes import WORKFLOW_CHANNEL
from tests.support.engines import bare_world, writing
from tests.support.groups import Answers
from tests.support.kinds import graph

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.ports.runs import Group
    from persistence.database import Database


class Ears:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.appended: set[UUID] = set()
        self.commands: set[UUID] = set()
        self.edits: set[UUID] = set()
        self.limits: set[tuple[UUID | None, float | None]] = set()
        self.look_count = 0
        self.heard = asyncio.Event()

    def stored(self, group: Group, base: int) -> None:
        """Own commits are told by the log itself."""
        raise AssertionError

    def woken(self, run_ids: Sequence[UUID]) -> None:
        """Hear of appends."""
        self.look_count += not run_ids
        self.appended.update(run_ids)
        self.heard.set()

    def commanded(self, run_ids: Sequence[UUID]) -> None:
        """Hear of commands."""
        self.commands.update(run_ids)
        self.heard.set()

    def edited(self, workflow_ids: Sequence[UUID]) -> None:
        """Hear of changes of workflows."""
        self.edits.update(workflow_ids)
        self.heard.set()

    def limited(self, connection: UUID | None, pause_s: float | None) -> None:
        """Hear of limits."""
        self.limits.add((connection, pause_s))
        self.heard.set()

    async def until(
        self,
        *,
        looks: int = 1,
        appended: set[UUID] | None = None,
        commands: set[UUID] | None = None,
        edits: set[UUID] | None = None,
        limits: set[tuple[UUID, float | None]] | None = None,
    ) -> None:
        """Wait until all of this was heard."""
        async with asyncio.timeout(20):
            while (
                self.look_count < looks
                or not (appended or set()) <= self.appended
                or not (commands or set()) <= self.commands
                or not (edits or set()) <= self.edits
                or not (limits or set()) <= self.limits
            ):
                self.heard.clear()
                await self.heard.wait()


async def test_other_processes_are_told_what_was_appended_to_commanded_and_edited(database: Database) -> None:
    w, second = bare_world(database), bare_world(database)
    place = await w.add(graph("a"))
    runs = [await w.owned(place) for _ in range(3)]
    for executor in (w, second):
        await executor.entered()
    async with writing(w):
        answers = Answers(w.log)
        other, own = Ears(), Ears()
        listening = [
            asyncio.create_task(PostgresListener(database, second.executor.hex, other).run()),
            asyncio.create_task(PostgresListener(database, w.executor.hex, own).run()),
        ]
        try:
            await asyncio.gather(other.until(), own.until())
            answers.append(runs[0], RunStarted())
            answers.append(runs[1], RunStarted())
            await answers.drained()
            await w.queue.add_command(runs[2], "cancel", "cancel", {})
            await asyncio.gather(other.until(appended=set(runs[:2]), commands={runs[2]}), own.until(commands={runs[2]}))
            async with database.direct() as connection:
                await connection.execute("SELECT pg_notify($1, $2)", WORKFLOW_CHANNEL, runs[0].hex)
            await asyncio.gather(other.until(edits={runs[0]}), own.until(edits={runs[0]}))
            async with database.direct() as connection:
                await connection.execute("SELECT pg_notify($1, $2)", LIMIT_CHANNEL, runs[0].hex)
                await connection.execute("SELECT pg_notify($1, $2)", LIMIT_CHANNEL, f"{runs[1].hex}:1500")
            await other.until(limits={(runs[0], None), (runs[1], 1.5)})
            assert other.appended == set(runs[:2])
            assert own.appended == set(), "an executor knows of its own appends"
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)


async def test_an_executor_that_is_alone_notifies_nobody_of_its_appends(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a")))
    await w.entered()
    heard: list[str] = []

    def hear(*told: object) -> None:
        heard.append(str(told[-1]))

    async with writing(w), database.direct() as connection:
        await connection.add_listener(CHANNEL, hear)
        answers = Answers(w.log)
        answers.append(run, RunStarted())
        await answers.drained()
        await connection.execute("SELECT pg_notify($1, 'last')", CHANNEL)
        async with asyncio.timeout(20):
            while "last" not in heard:
                await connection.execute("SELECT 1")
    assert heard == ["last"]
