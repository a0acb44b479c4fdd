"""LocalEngine: executes runs in this process, durably; claims them, takes over those of dead processes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import AnabranchError, Contended, DatabaseUnavailable, Fenced, KeyTaken, NotFound
from domain.events import RunFailed
from domain.ports.companions import outside_schedule
from domain.ports.runs import FIRST_EPOCH, ClaimedRun, Group
from domain.run import Failure
from runtime.abandoned import Abandoned
from runtime.busy import Busy
from runtime.compiled import CompiledRun, compile_run
from runtime.local_run import LocalRun
from runtime.tasks import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
    from uuid import UUID

    from domain.events import LoggedEvent
    from domain.ids import ExecutorId, GraphId
    from domain.ports.new_runs import NewRun
    from domain.ports.runs import RunCommand, RunLog, RunQueue
    from domain.workflow import Definition
    from runtime.attempt import NodeServices
    from runtime.engine_limits import EngineLimits
    from runtime.registry import Registry

_MAX_COMPILED: Final = 500
_MAX_CANCELED: Final = 100
_LATEST_ORPHAN_S: Final = 120.0
"""How long orphans are looked for: a statement without an answer may commit, and a lock may hide a run, that much later."""
_RESTART_GRACE_S: Final = 5.0
"""After a restart of PostgreSQL every executor has this long to take its lock again."""

_log = structlog.get_logger(__name__)


class LocalEngine:
    """The runs of this process. `open` is its life; `start`, `look` and `lost` are called from the event loop."""

    def __init__(  # noqa: PLR0917 -- the composition root names them all
        self,
        executor: ExecutorId,
        queue: RunQueue,
        log: RunLog,
        services: NodeServices,
        registry: Registry,
        definition_of: Callable[[GraphId], Awaitable[Definition]],
        limits: EngineLimits,
    ) -> None:
        self.executor = executor
        self.log = log
        self.services = services
        self.max_recoveries = limits.max_recoveries
        self.cancel_grace_s = limits.cancel_grace_s
        self.linger_s = limits.linger_s
        self.max_events = limits.max_events
        self.max_output_bytes = limits.max_output_bytes
        self._queue = queue
        self._registry = registry
        self._definition_of = definition_of
        self._limits = limits
        self._runs: dict[UUID, LocalRun] = {}
        self._busy = Busy(limits.max_runs_per_workspace)
        self._has_line = False
        """Whether runs may be queued that have a better right to room than one that is started now."""
        self._compiled: OrderedDict[UUID, CompiledRun] = OrderedDict()
        self._nodes: set[asyncio.Task[None]] = set()
        """Not in a group: that would wait for a node which ignores its cancellation, and the process could not end."""
        self._look = asyncio.Event()
        self._suspects: dict[ExecutorId, float] = {}
        self._expired: set[UUID] = set()
        """Questions that ran out and are not closed yet."""
        self._is_open = False
        self._orphans_until = float("-inf")
        self._abandoned = Abandoned(limits.max_recoveries)
        self._is_settled = asyncio.Event()
        """Cleared while orphans are looked for: a run that begins here in that moment would be taken for one."""
        self._is_settled.set()

    @property
    def has_room(self) -> bool:
        """Whether another run may be claimed."""
        return self._is_open and len(self._runs) < self._limits.max_concurrent_runs

    @property
    def _room(self) -> int:
        return max(self._limits.max_concurrent_runs - len(self._runs), 0)

    @property
    def is_open(self) -> bool:
        """Whether the engine executes runs."""
        return self._is_open

    @property
    def run_count(self) -> int:
        """Runs in memory."""
        return len(self._runs)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[LocalEngine]:
        """Execute runs until the block ends; then hand them over: their state is in the log."""
        async with task_group() as tasks:
            self._is_open = True
            sweeper = tasks.create_task(self._sweep(), name="engine sweep")
            try:
                yield self
            finally:
                self._is_open = False
                sweeper.cancel()
                for run in list(self._runs.values()):
                    run.drop()
                await self._abandon_nodes()

    async def _abandon_nodes(self) -> None:
        """Wait for the nodes that are being stopped, as long as they have; the runs of others are taken over."""
        if not self._nodes:
            return
        _, ignoring = await asyncio.wait(self._nodes, timeout=self.cancel_grace_s)
        for task in ignoring:
            _log.error("node.ignores_cancellation", task=task.get_name())

    # ── called by others ──

    async def start(self, new: NewRun) -> None:
        """Insert a run that is this process's from its first moment on, or one that waits if there is no room for it.

        Raises:
            NotFound: the workflow is gone, or a kind is not installed.
            KeyTaken: its idempotency key stands for another run.
            Contended: others are at what it needs.
            DatabaseUnavailable: it may have been stored all the same; then it is taken up later.
        """
        compiled = await self._compile(new.graph_id)
        await self._is_settled.wait()
        is_full = self._busy.is_full(new.workspace_id)
        if new.turns is not None or is_full or self._has_line or not self.has_room:  # full or closed by now
            if is_full:
                self._busy.queued(new.workspace_id)
            else:
                self._has_line = self._has_line or new.turns is None
            await self._queue.add(new)
            if self._limits.max_concurrent_runs == 0:
                await self._queue.announce()  # the others need not wait for their next look
            self.look()
            return
        claimed = ClaimedRun(new.id, new.workspace_id, new.graph_id, FIRST_EPOCH, 1, new.created_at, new.input)
        run = self._hold(claimed, compiled)
        first = run.open()
        try:
            await self._queue.add(new, self.executor, first)
        except BaseException as error:
            run.drop()
            if not isinstance(error, (NotFound, KeyTaken, Contended)):
                self._expect_orphans()
            raise
        self.log.stored(first, 1)
        await asyncio.sleep(0)  # the log sends what follows before the caller goes on

    def look(self) -> None:
        """Look for commands and queued runs now instead of at the next poll."""
        self._look.set()

    def lost(self) -> None:
        """Stop everything: the lease could not be kept, so others may have taken the runs."""
        _log.error("engine.lease_lost", runs=len(self._runs))
        for run in list(self._runs.values()):
            run.drop()
        self._expect_orphans()

    def holds(self, run_id: UUID) -> bool:
        """Whether the run is in this process's memory."""
        return run_id in self._runs

    # ── called by its runs ──

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run a node's work as a task of the engine."""
        if not self._is_open:
            work.close()
            raise RuntimeError("the engine is not open")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._nodes.add(task)
        task.add_done_callback(self._node_ended)
        return task

    def _node_ended(self, task: asyncio.Task[None]) -> None:
        self._nodes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("engine.node_task_failed", task=task.get_name(), exc_info=error)

    def expire(self, approval_id: UUID) -> None:
        """Close a question that ran out, unless it is answered by then; its run gets a command for it."""
        self._expired.add(approval_id)
        self._look.set()

    def abandon(self, run_id: UUID) -> None:
        """Take a run up again after a while of which even the end was refused."""
        self._abandoned.add(run_id, time.monotonic())

    def left(self, run_id: UUID, run: object) -> None:
        """Forget a run, unless another lease of it has taken its place."""
        if self._runs.get(run_id) is run:
            was_full = len(self._runs) >= self._limits.max_concurrent_runs
            if self._busy.leave(self._runs.pop(run_id).workspace_id) or was_full:
                self._look.set()  # others may be waiting for this room

    # ── its own life ──

    def _hold(self, claimed: ClaimedRun, compiled: CompiledRun) -> LocalRun:
        """Keep a run in memory; there is none of this id."""
        run = self._runs[claimed.id] = LocalRun(claimed, compiled, self)
        self._busy.enter(claimed.workspace_id)
        return run

    async def _enter(self, claimed: ClaimedRun, commands: Sequence[RunCommand]) -> None:
        try:
            compiled = await self._compile(claimed.graph_id)
            # The log of a rerun begins with what it reuses; that of any other new run has nothing to tell.
            is_empty = claimed.last_seq == 1
            log: Sequence[LoggedEvent] = (
                [] if is_empty else await self._queue.log_of(claimed.id, compiled.kept | compiled.lists)
            )
        except DatabaseUnavailable:
            # Claimed but not begun: the sweep takes the run up again when the database answers.
            _log.warning("engine.run_deferred", run=str(claimed.id))
            self._expect_orphans()
            return
        except AnabranchError as error:
            self._refuse(claimed, error.message)
            return
        except Exception as error:  # noqa: BLE001 -- one unreadable run must not end all the others
            _log.exception("engine.run_unreadable", run=str(claimed.id))
            self._refuse(claimed, f"The run's graph or log cannot be read ({type(error).__name__}).")
            return
        if not self._is_open:
            return  # closed meanwhile: whoever takes the runs over begins it
        present = self._runs.get(claimed.id)
        if present is not None:
            if present.epoch >= claimed.epoch:
                return
            present.drop()
        run = self._hold(claimed, compiled)
        if len(log) > 1:
            run.recover(log, commands)
        else:
            run.start(commands)

    def _refuse(self, claimed: ClaimedRun, reason: str) -> None:
        """Fail a run that cannot be executed here, such as one with a kind that is not installed."""
        _log.error("engine.run_unusable", run=str(claimed.id), reason=reason)
        failed = RunFailed(Failure("UNUSABLE_GRAPH", reason))

        def ignore(_group: Group, _base: int) -> None:
            """Nobody waits for this end."""

        def refused(_group: Group, error: AnabranchError) -> None:
            if not isinstance(error, Fenced):
                self.abandon(claimed.id)

        group = Group(claimed.id, claimed.epoch, datetime.now(UTC), [failed], ignore, refused)
        group.companions = outside_schedule(claimed.farewell)
        self.log.append(group)

    async def _compile(self, graph_id: GraphId) -> CompiledRun:
        compiled = self._compiled.get(graph_id)
        if compiled is None:
            compiled = compile_run(await self._definition_of(graph_id), self._registry)
            self._compiled[graph_id] = compiled
            if len(self._compiled) > _MAX_COMPILED:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(graph_id)
        return compiled

    async def _sweep(self) -> None:
        """Claim, obey and take over, at every poll and whenever told to look."""
        probed_at = float("-inf")
        while True:
            self._look.clear()
            try:
                if self._expired:
                    await self._close_questions()
                if self._runs:
                    await self._obey()
                if self._abandoned.is_due(time.monotonic()):
                    self._expect_orphans()
                if time.monotonic() < self._orphans_until:
                    await self._adopt()
                await self._claim()
                # Who is suspected is looked at each time: the second probe need not wait for its turn.
                if self._suspects or time.monotonic() - probed_at >= self._limits.takeover_probe_s:
                    probed_at = time.monotonic()
                    await self._take_over()
            except DatabaseUnavailable:
                self._suspects.clear()
                self._expect_orphans()  # a claim may have been stored although its answer was lost
            except Exception:  # noqa: BLE001 -- whatever one look meets, the runs in memory go on and the next look follows
                _log.exception("engine.sweep_failed")
                self._expect_orphans()
            try:
                async with asyncio.timeout(self._limits.poll_s):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _close_questions(self) -> None:
        expired = set(self._expired)
        await self._queue.expire_approvals(sorted(expired))
        self._expired -= expired

    async def _obey(self) -> None:
        commands = await self._queue.pending_commands(self.executor)
        for run_id, of_run in commands.items():
            run = self._runs.get(run_id)
            if run is not None:
                run.obey(of_run)

    async def _claim(self) -> None:
        if self._room:
            # They have begun: however many new runs are queued, these go on before another one begins.
            await self._enter_all(await self._queue.claim_waiting(self.executor, datetime.now(UTC), self._room))
        while room := self._room:
            claimed = await self._queue.claim(self.executor, room, self._busy.counts, self._busy.most)
            await self._enter_all(claimed)
            if not claimed:
                self._has_line = False
                self._busy.looked()
                break
        else:
            self._has_line = True
            # Whoever cancels a run need not wait for room: it only ends.
            await self._enter_all(await self._queue.claim_canceled(self.executor, _MAX_CANCELED))

    async def _adopt(self) -> None:
        """Take up runs that are this executor's by the database but not in its memory."""
        # Nobody else takes them: an executor of none may hold a cancelled run whose claim it never heard of.
        room = self._room or int(not self._runs)
        if not room:
            self._expect_orphans()
            return
        self._is_settled.clear()
        try:
            held = (*self._runs, *self._abandoned.resting(time.monotonic()))
            orphans = await self._queue.take_over(self.executor, self.executor, room, held)
        finally:
            self._is_settled.set()
        if len(orphans) == room:
            self._expect_orphans()
        await self._enter_all(orphans)

    def _expect_orphans(self) -> None:
        """Look for orphans for a while: the first look may come before a late commit, or while a lock hides a run."""
        self._orphans_until = time.monotonic() + _LATEST_ORPHAN_S

    async def _take_over(self) -> None:
        """Take the runs of executors whose lock was free in two probes, or whose lease has run out."""
        dead = await self._queue.dead_executors(self.executor, _RESTART_GRACE_S)
        now = time.monotonic()
        self._suspects = {one: self._suspects.get(one, now) for one, is_expired in dead.items() if not is_expired}
        for executor in dead:
            if now - self._suspects.get(executor, float("-inf")) < self._limits.takeover_probe_s * 0.9:
                continue
            room = self._room
            taken = await self._queue.take_over(self.executor, executor, room)
            if taken:
                _log.warning("engine.took_over", runs=len(taken), executor=str(executor))
            await self._enter_all(taken)
            if len(taken) < room:
                await self._queue.forget(executor)

    async def _enter_all(self, claimed: Sequence[ClaimedRun]) -> None:
        if not claimed:
            return
        # A run that was cancelled while it waited must not begin with work.
        commands = await self._queue.pending_commands(self.executor)
        for run in claimed:
            await self._enter(run, commands.get(run.id, ()))
