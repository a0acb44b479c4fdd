"""The limits of connections, held by all processes that share the database; who has to wait, waits here.

A connection without limits costs nothing here. Of the others, all that this process wants is asked in one transaction
at a time; what gathers meanwhile goes into the next one.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import DatabaseUnavailable, NodeFault
from domain.rate_limits import LONGEST_PAUSE_S, NoRoom
from runtime.connection_queues import ConnectionQueue, Ticket
from runtime.patience import WAITER, waiting_for_room

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from uuid import UUID

    from domain.ports.connection_permits import ConnectionPermits
    from domain.rate_limits import Caps
    from runtime.patience import Waiter

_SHORT_S: Final = 2.0
"""How long a node waits at work before it says that it waits."""
_PERSON_S: Final = 10.0
"""How long a person's request waits, and work in the background."""
_POLL_S: Final = 1.0
_RETRY_S: Final = 0.5
_HANDOVER_S: Final = 10.0
"""How long a node that was woken may take to begin, before its room goes to somebody else."""
_SAY_AGAIN_S: Final = 60.0

_log = structlog.get_logger(__name__)


class ConnectionLimits:
    """Lets requests of this process through. `run` is its life; without it nobody with limits gets through."""

    def __init__(self, permits: ConnectionPermits, *, short_s: float = _SHORT_S) -> None:
        self._permits = permits
        self._short_s = short_s
        self._queues: dict[UUID, ConnectionQueue] = {}
        self._left: dict[str, Ticket] = {}
        """Places of nodes that do not stand in them, by the names of their attempts."""
        self._pauses: dict[UUID, float] = {}
        self._said: dict[UUID, float] = {}
        self._look = asyncio.Event()
        self._has_missed = True
        """Whether pauses of others may have been missed."""

    # ── for those who use connections ──

    @asynccontextmanager
    async def permit(self, caps: Caps | None) -> AsyncGenerator[None]:
        """Wait until a request may be sent; its end is the end of the block.

        An attempt of a node that has sent nothing yet is told of a long wait, so that it can be begun again when its turn
        comes; one that has sent something waits. Others wait for ten seconds.

        Raises:
            NoRoom: it takes longer.
            NodeFault: `CONNECTION_NOT_FOUND`: the connection was deleted meanwhile.
        """
        waiter = WAITER.get()
        ticket = None
        if caps is not None and (caps.is_limited or self._is_paused(caps.key)):
            ticket = await self._turn(caps, waiter)
        if waiter is not None:
            waiter.has_sent = True
        try:
            yield
        finally:
            if ticket is not None:
                self._give_back(ticket)

    async def pause(self, caps: Caps, wait_s: float) -> None:
        """Obey a `Retry-After` for everybody who uses the connection, in all processes, for an hour at most."""
        wait_s = min(wait_s, LONGEST_PAUSE_S)
        _log.warning("connection.paused", connection=caps.name, key=str(caps.key), seconds=wait_s)
        self.paused(caps.key, wait_s)
        try:
            await self._permits.pause(caps.key, wait_s)
        except DatabaseUnavailable:
            _log.warning("connection.pause_not_shared", connection=caps.name, key=str(caps.key))

    def on_room(self, name: str, wake: Callable[[], bool]) -> bool:
        """Call `wake` when it is the turn of the attempt of this name, or return False if it has no place in this process.

        What `wake` returns says whether the attempt will come.
        """
        ticket = self._left.get(name)
        if ticket is None:
            return False
        ticket.wake = wake
        if ticket.is_granted:
            asyncio.get_running_loop().call_soon(self._wake, ticket)
        return True

    def leave(self, name: str) -> None:
        """Give up the place of an attempt whose run leaves memory, or does not want it any more.

        Nobody would come when it is its turn. Should it come back, here or elsewhere, it knows since when it waits.
        """
        ticket = self._left.pop(name, None)
        if ticket is not None:
            self._drop(ticket)

    # ── what other processes do ──

    def has_room(self, key: UUID) -> None:
        """Ask again for a connection: there may be room."""
        queue = self._queues.get(key)
        if queue is not None and queue.tickets:
            self._ask_soon(queue)

    def paused(self, key: UUID, wait_s: float) -> None:
        """Let nobody use a connection for so long."""
        until = asyncio.get_running_loop().time() + wait_s
        self._pauses[key] = max(self._pauses.get(key, until), until)

    def look(self) -> None:
        """Look at all: something may have been missed."""
        self._has_missed = True
        for queue in self._queues.values():
            queue.next_at = asyncio.get_running_loop().time() if queue.tickets else queue.next_at
        self._look.set()

    # ── asking ──

    async def run(self) -> None:
        """Ask for whoever wants to send, until cancelled."""
        while True:
            self._look.clear()
            now = asyncio.get_running_loop().time()
            due = [queue for queue in self._queues.values() if queue.next_at is not None and queue.next_at <= now]
            try:
                if self._has_missed:
                    await self._read_pauses()
                if due:
                    await self._settle(due)
            except DatabaseUnavailable:
                self._try_again(due)
            except Exception:  # noqa: BLE001 -- whoever waits would wait for ever
                _log.exception("connection.limits_failed")
                self._try_again(due)
            await self._rest()

    async def _rest(self) -> None:
        nexts = [queue.next_at for queue in self._queues.values() if queue.next_at is not None]
        until = min(nexts, default=None)
        if self._has_missed:
            until = asyncio.get_running_loop().time() + _RETRY_S
        try:
            async with asyncio.timeout_at(until):
                await self._look.wait()
        except TimeoutError:
            return

    async def _read_pauses(self) -> None:
        self._has_missed = False
        try:
            for key, wait_s in (await self._permits.list_pauses()).items():
                self.paused(key, wait_s)
        except BaseException:
            self._has_missed = True
            raise

    async def _settle(self, due: list[ConnectionQueue]) -> None:
        asked = {queue.caps.key: queue.ask() for queue in due}
        answers = await self._permits.settle({queue.caps.key: (queue.caps, asked[queue.caps.key][1]) for queue in due})
        now = asyncio.get_running_loop().time()
        for queue in due:
            tickets, _ = asked[queue.caps.key]
            settled = answers.get(queue.caps.key)
            if settled is None:
                self._close(queue)
                continue
            for ticket in queue.answer(tickets, settled, now, _POLL_S * random.uniform(0.8, 1.2)):
                self._let_go(queue, ticket)
            self._say(queue, now)
            self._forget(queue)

    def _try_again(self, due: list[ConnectionQueue]) -> None:
        now = asyncio.get_running_loop().time()
        for queue in due:
            queue.next_at = now + _RETRY_S

    def _let_go(self, queue: ConnectionQueue, ticket: Ticket) -> None:
        queue.held += 1
        ticket.is_granted = True
        if ticket.is_left:
            asyncio.get_running_loop().call_later(_HANDOVER_S, self._forfeit, ticket)
            if ticket.wake is not None:
                self._wake(ticket)
        ticket.decide()

    def _wake(self, ticket: Ticket) -> None:
        if ticket.is_left and ticket.wake is not None and not ticket.wake():
            self._forfeit(ticket)

    def _forfeit(self, ticket: Ticket) -> None:
        """Take the room back from somebody who has not come."""
        if ticket.is_left and ticket.name is not None and self._left.get(ticket.name) is ticket:
            del self._left[ticket.name]
            self._drop(ticket)

    def _close(self, queue: ConnectionQueue) -> None:
        """Tell all who wait that the connection is gone."""
        self._queues.pop(queue.caps.key, None)
        for ticket in queue.tickets:
            if not ticket.decided.done():
                message = (
                    f"The connection {queue.caps.name!r} was deleted while a request waited for room under its limits."
                )
                ticket.decided.set_exception(NodeFault("CONNECTION_NOT_FOUND", message))
                ticket.decided.exception()  # nobody may stand there any more
            if ticket.is_left and ticket.name is not None:
                self._left.pop(ticket.name, None)
                if ticket.wake is not None:
                    ticket.wake()
        queue.tickets.clear()

    def _say(self, queue: ConnectionQueue, now: float) -> None:
        caps = queue.caps
        if queue.tickets and now >= self._said.get(caps.key, 0.0):
            self._said[caps.key] = now + _SAY_AGAIN_S
            _log.info(
                "connection.saturated",
                connection=caps.name,
                key=str(caps.key),
                waiting=len(queue.tickets),
                in_flight=queue.held,
            )

    def _forget(self, queue: ConnectionQueue) -> None:
        if queue.is_empty and self._queues.get(queue.caps.key) is queue:
            del self._queues[queue.caps.key]
            self._said.pop(queue.caps.key, None)

    # ── one request ──

    async def _turn(self, caps: Caps, waiter: Waiter | None) -> Ticket:
        may_leave = waiter is not None and not waiter.has_sent
        patience_s = self._short_s if may_leave else _PERSON_S if waiter is None else None
        now = asyncio.get_running_loop().time()
        ticket = self._enter(caps, waiter, None if patience_s is None else now + patience_s)
        try:
            with waiting_for_room():
                await asyncio.wait({ticket.decided}, timeout=patience_s)
            if ticket.decided.done():
                ticket.decided.result()
        except BaseException:
            self._drop(ticket)
            raise
        if ticket.is_granted:
            return ticket
        if waiter is not None and waiter.idempotency_key not in self._left:
            ticket.is_left = True
            self._left[waiter.idempotency_key] = ticket
        else:
            self._drop(ticket)
        raise NoRoom(caps.name, self._wait_s(ticket, waiter))

    def _wait_s(self, ticket: Ticket, waiter: Waiter | None) -> float | None:
        """Return in how many seconds there is room, None where that is unknown, or no reason to give up the place.

        Whoever has waited before and comes back too late keeps his place if he is among the next: else others, who
        happen to ask when a minute begins, could be let through before him again and again.
        """
        if ticket.room_at is None or (ticket.is_soon and waiter is not None and waiter.waits_since is not None):
            return None
        wait_s = ticket.room_at - asyncio.get_running_loop().time()
        return wait_s if wait_s > 0 else None

    def _enter(self, caps: Caps, waiter: Waiter | None, gives_up_at: float | None) -> Ticket:
        """Stand in a queue: where the attempt already has a place, or at the end."""
        ticket = None if waiter is None else self._left.pop(waiter.idempotency_key, None)
        if ticket is not None and ticket.queue.caps.key == caps.key:
            ticket.stand(gives_up_at)
            return ticket
        if ticket is not None:
            self._drop(ticket)
        queue = self._queues.get(caps.key)
        if queue is None:
            queue = self._queues[caps.key] = ConnectionQueue(caps)
        queue.caps = caps
        name, since = (None, None) if waiter is None else (waiter.idempotency_key, waiter.waits_since)
        ticket = Ticket(queue, name, gives_up_at, since)
        queue.tickets[ticket] = None
        ticket.expect(self._pauses.get(caps.key))
        self._ask_soon(queue)
        return ticket

    def _drop(self, ticket: Ticket) -> None:
        """Leave the queue for good, and send nothing."""
        if ticket.is_granted:
            ticket.queue.refund(ticket)
            self._ask_soon(ticket.queue)
            self._give_back(ticket)
        elif ticket in ticket.queue.tickets:
            del ticket.queue.tickets[ticket]
            self._ask_soon(ticket.queue)

    def _give_back(self, ticket: Ticket) -> None:
        queue = ticket.queue
        queue.held -= 1
        if queue.is_counted:
            self._ask_soon(queue)
        self._forget(queue)

    def _ask_soon(self, queue: ConnectionQueue) -> None:
        queue.change(asyncio.get_running_loop().time())
        self._look.set()

    def _is_paused(self, key: UUID) -> bool:
        until = self._pauses.get(key)
        if until is None:
            return False
        if until <= asyncio.get_running_loop().time():
            del self._pauses[key]
            return False
        return True
