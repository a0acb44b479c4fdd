"""Append-only logs of runs: group commit over one direct connection, and what wakes those who follow."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
import structlog

from domain.errors import AnabranchError, DatabaseUnavailable, Fenced, InvalidInput
from domain.events import TERMINAL
from persistence.append_statement import APPEND, arguments
from persistence.completions import Completions
from persistence.database import TROUBLES, close_direct, is_unavailable, sqlstate
from persistence.run_rows import event_key, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from asyncpg.prepared_stmt import PreparedStatement

    from domain.events import Event
    from domain.ports.runs import Group
    from persistence.database import Database, DirectConnection

    Statement: TypeAlias = PreparedStatement[asyncpg.Record]

_MAX_EVENTS: Final = 1_000
_MAX_BYTES: Final = 8 * 1024 * 1024
_FIRST_BACKOFF_S: Final = 0.05
_LONGEST_BACKOFF_S: Final = 2.0
_COMMIT_TIMEOUT_S: Final = 60.0
_TURNS_TO_SEND: Final = 3
"""Turns of the event loop until a statement is on its way: the task begins, the driver writes, uvloop sends."""

# Planning the statement anew for each commit costs more than the commit. It is planned once, often while the tables are
# still empty, and must then not choose to read a whole table that will have grown.
_PLANNING: Final = """
SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off; SET enable_mergejoin = off
"""
_NO_EPOCH: Final = -1

# What is wrong with a value and not with the database; the first two come from writing it as JSON.
_REFUSALS: Final = (TypeError, ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

_log = structlog.get_logger(__name__)


class PostgresRunLog:
    """Stores groups in the order in which they were appended; `run` is the one task that talks to the database.

    A group that carries rows goes its own way (`Completions`) behind the earlier groups of its run, and the later ones
    wait for it: neither its transaction nor what it waits for holds up the other runs.

    A group is answered exactly once, by `on_stored` or by `on_refused`. While PostgreSQL is away groups wait: the ones
    whose outcome is unknown are sent again first and unchanged, and their event keys make the repeat harmless.
    """

    def __init__(
        self,
        database: Database,
        sender: str,
        *,
        on_stored: Sequence[Callable[[Group, int], None]] = (),
        on_commit: Callable[[int, float], None] | None = None,
        max_rows: int = sys.maxsize,
    ) -> None:
        self._database = database
        self._sender = sender
        self._on_stored = on_stored
        self._on_commit = on_commit
        """Told how many events a commit had, and how many seconds it took."""
        self._completions = Completions(database, sender, max_rows)
        self._queue: deque[Group] = deque()
        self._behind: dict[UUID, deque[Group]] = {}
        """Groups of runs of which one goes its own way."""
        self._writing: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._connection: DirectConnection | None = None
        self._append: Statement | None = None
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._unanswered: tuple[list[Group], dict[int, int]] = ([], {})
        self.commit_count = 0
        self.event_count = 0

    def append(self, group: Group) -> None:
        """Queue a group; it goes into the next commit."""
        self._queue.append(group)
        self._is_idle.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Return when every group that was appended so far has been answered."""
        await self._is_idle.wait()

    async def run(self) -> None:
        """Store groups until cancelled."""
        try:
            while True:
                if not self._queue:
                    self._answer_last()
                if not self._queue:
                    if not self._behind:
                        self._is_idle.set()
                    self._wake.clear()
                    await self._wake.wait()
                await self._store(self._take())
        finally:
            for task in self._writing:
                task.cancel()
            # A second cancellation must not cut off what gives their connections back.
            await asyncio.shield(asyncio.gather(*self._writing, return_exceptions=True))
            await self._disconnect()

    def _take(self) -> list[Group]:
        """Take groups for one commit: within its bounds, of one lease for each run, and nothing behind its end."""
        groups: list[Group] = []
        epochs: dict[UUID, int] = {}
        events = size = 0
        while self._queue:
            group = self._queue[0]
            if group.run_id in self._behind:
                self._behind[group.run_id].append(self._queue.popleft())
                continue
            if group.is_apart:
                if group.run_id in epochs:
                    break
                self._complete(self._queue.popleft())
                continue
            events += len(group.events)
            size += sum(map(_payload_bytes, group.events))
            is_full = events > _MAX_EVENTS or size > _MAX_BYTES
            if groups and (is_full or epochs.get(group.run_id, group.epoch) != group.epoch):
                break
            epochs[group.run_id] = _NO_EPOCH if isinstance(group.events[-1], TERMINAL) else group.epoch
            groups.append(self._queue.popleft())
        return groups

    def _complete(self, group: Group) -> None:
        """Store a group that goes its own way, beside the others."""
        self._behind[group.run_id] = deque()
        task = asyncio.create_task(self._write(group), name=f"rows of {group.run_id}")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, group: Group) -> None:
        answer: int | AnabranchError
        try:
            answer = await self._completions.store(group)
        except AnabranchError as error:
            answer = error
        except Exception:  # noqa: BLE001 -- a fault of ours in one run must not end the log of all
            _log.exception("run_log.completion_failed", run_id=str(group.run_id))
            answer = InvalidInput("The rows of a node could not be stored.")
        self._queue.extendleft(reversed(self._behind.pop(group.run_id)))
        self._wake.set()
        # Earlier groups of the run may be stored and not answered yet.
        self._answer_last()
        if isinstance(answer, int):
            self.stored(group, answer)
        else:
            self._guarded(group.on_refused, group, answer)

    async def _store(self, groups: list[Group]) -> None:
        """Store groups; the list always holds those that have no answer yet, so that none is answered twice."""
        backoff_s = _FIRST_BACKOFF_S
        while groups:
            try:
                await self._store_once(groups)
            except TROUBLES as error:
                # Whatever it is, nothing may be lost: the log waits until PostgreSQL takes it.
                level = _log.warning if is_unavailable(error) or isinstance(error, DatabaseUnavailable) else _log.error
                level("run_log.append_failed", groups=len(groups), retry_in_s=backoff_s, error=type(error).__name__)
                self._answer_last()
                await self._disconnect()
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)

    async def _store_once(self, groups: list[Group]) -> None:
        connection, statement = await self._connected()
        begun_at = time.perf_counter()
        try:
            async with asyncio.timeout(_COMMIT_TIMEOUT_S):
                rows = await self._commit(statement, arguments(fold(groups), self._sender))
        except _REFUSALS:
            # A value that cannot be written or held, or an event that is stored already: find out run by run.
            self._answer_last()
            await self._store_by_run(connection, groups)
            return
        self.commit_count += 1
        if self._on_commit is not None:
            self._on_commit(sum(len(group.events) for group in groups), time.perf_counter() - begun_at)
        refused = _refused(groups, {row["place"] for row in rows})
        self._unanswered = (groups[:], {row["place"]: row["base"] for row in rows})
        groups[:] = refused
        if refused:
            self._answer_last()
            # Another executor's run by now, unless this is a repeat of an append that ended the run.
            await self._store_by_run(connection, groups)

    async def _commit(self, statement: Statement, values: Sequence[object]) -> list[asyncpg.Record]:
        """Send a commit, answer the one before while PostgreSQL works on it, and return what it gives.

        Answers start nodes, and a node that only computes is done within its answer: without this overlap the event loop
        and PostgreSQL would take turns instead of working at once.
        """
        if not self._unanswered[0]:
            return await statement.fetch(*values)  # sent in this turn of the loop, not three later
        committing = asyncio.create_task(statement.fetch(*values), name="run log commit")
        try:
            for _ in range(_TURNS_TO_SEND):
                await asyncio.sleep(0)
            self._answer_last()
            return await committing
        finally:
            if not committing.done():
                committing.cancel()
                await asyncio.gather(committing, return_exceptions=True)

    def _answer_last(self) -> None:
        """Answer the groups of the last commit, unless that is done."""
        groups, bases = self._unanswered
        self._unanswered = ([], {})
        self._answer(groups, bases)

    def _answer(self, groups: Sequence[Group], bases: dict[int, int]) -> None:
        places: dict[UUID, int] = {}
        for group in groups:
            place = places.setdefault(group.run_id, len(places) + 1)
            base = bases.get(place)
            if base is None:
                continue
            bases[place] = base + len(group.events)
            self.stored(group, base)

    async def _store_by_run(self, connection: DirectConnection, groups: list[Group]) -> None:
        by_run: dict[UUID, list[Group]] = {}
        for group in groups:
            by_run.setdefault(group.run_id, []).append(group)
        for run_id, of_run in by_run.items():
            try:
                async with asyncio.timeout(_COMMIT_TIMEOUT_S), connection.transaction():
                    answers = await self._store_suspect(connection, run_id, of_run)
            except _REFUSALS as error:
                reason = sqlstate(error) or type(error).__name__
                _log.warning("run_log.value_refused", run_id=str(run_id), reason=reason)
                refusal = InvalidInput(f"PostgreSQL cannot store a value of the run ({reason}).")
                answers = [(group, refusal) for group in of_run]
            for group, answer in answers:
                if isinstance(answer, int):
                    self.stored(group, answer)
                else:
                    self._guarded(group.on_refused, group, answer)
            groups[:] = [group for group in groups if group.run_id != run_id]

    async def _store_suspect(
        self, connection: DirectConnection, run_id: UUID, groups: Sequence[Group]
    ) -> list[tuple[Group, int | AnabranchError]]:
        """Lock the run, read in a new snapshot which events are stored, append only the other groups.

        The fence comes first: what another executor has stored under the same key is not this one's.
        """
        epoch = await connection.fetchval("SELECT lease_epoch FROM runs WHERE id = $1 FOR NO KEY UPDATE", run_id)
        keys = [event_key(group.events[0]) for group in groups]
        rows = await connection.fetch(
            "SELECT event_key, seq FROM run_events WHERE run_id = $1 AND event_key = ANY($2::text[])", run_id, keys
        )
        stored = {row["event_key"]: row["seq"] for row in rows}
        answers: list[tuple[Group, int | AnabranchError]] = []
        for group in groups:
            if group.epoch != epoch:
                answers.append((group, Fenced()))
                continue
            seq = stored.get(event_key(group.events[0]))
            if seq is not None:
                answers.append((group, seq - 1))
                continue
            advanced = await connection.fetch(APPEND, *arguments(fold([group]), self._sender))
            answers.append((group, advanced[0]["base"] if advanced else Fenced()))
        return answers

    def stored(self, group: Group, base: int) -> None:
        """Answer a group that is stored, by this log or with its run, and tell of it."""
        self.event_count += len(group.events)
        self._guarded(group.on_stored, group, base)
        for hear in self._on_stored:
            self._guarded(hear, group, base)

    def _guarded(self, callback: Callable[..., None], *arguments_: object) -> None:
        """Call back; one run's fault must not stop the log of all."""
        try:
            callback(*arguments_)
        except Exception:  # noqa: BLE001 -- whatever it is, it is logged
            _log.exception("run_log.callback_failed")

    async def _connected(self) -> tuple[DirectConnection, Statement]:
        if self._connection is None or self._connection.is_closed() or self._append is None:
            self._connection = await self._database.open_direct()
            await self._connection.execute(_PLANNING)
            self._append = await self._connection.prepare(APPEND)
        return self._connection, self._append

    async def _disconnect(self) -> None:
        connection, self._connection, self._append = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(close_direct(connection))


def _refused(groups: Sequence[Group], places: set[int]) -> list[Group]:
    numbers: dict[UUID, int] = {}
    return [group for group in groups if numbers.setdefault(group.run_id, len(numbers) + 1) not in places]


def _payload_bytes(event: Event) -> int:
    output = getattr(event, "output", None)
    given = getattr(event, "input", None)
    return len(output or b"") + len(given or b"") + len(getattr(event, "text", ""))
