from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rate_limits import Ask, Caps, LimitState, NoRoom, Settled, Share, settle

A, B, C = (UUID(int=number) for number in (1, 2, 3))
ALIVE = {A: True, B: True, C: True}


def caps(max_concurrent: int | None = None, requests_per_minute: int | None = None) -> Caps:
    return Caps(UUID(int=9), "api", max_concurrent, requests_per_minute)


def ask(state: LimitState, of: Caps, who: UUID = A, now: float = 1_000.0, *, held: int = 0, queue: int = 1) -> Settled:
    return settle(state, of, who, Ask(held, [None] * queue), now, alive=ALIVE)


@dataclass
class Process:
    """A process of a simulation: what it has in flight, and since when others wait in it."""

    held: int = 0
    queue: list[float | None] = field(default_factory=list["float | None"])


@dataclass
class World:
    """Processes that ask for one connection."""

    caps: Caps
    state: LimitState = field(default_factory=LimitState)
    processes: dict[UUID, Process] = field(default_factory=lambda: {who: Process() for who in ALIVE})
    now: float = 1_000.0
    sent: list[float] = field(default_factory=list[float])

    def do(self, who: UUID, what: str) -> None:
        """Do a step, and check that nothing was let through that should not."""
        process = self.processes[who]
        if what == "come":
            process.queue.append(None)
        elif what == "end":
            process.held = max(process.held - 1, 0)
        elif what == "leave":
            del process.queue[:1]
        else:
            self.ask(who)

    def ask(self, who: UUID) -> Settled:
        """Ask for a process."""
        process = self.processes[who]
        settled = settle(self.state, self.caps, who, Ask(process.held, process.queue), self.now, alive=ALIVE)
        process.held += settled.granted
        left = [settled.now if since is None else since for since in process.queue[settled.granted :]]
        process.queue = [*left]
        self.sent += [self.now] * settled.granted
        assert len(settled.waits_s) == len(left)
        if self.caps.max_concurrent is not None:
            assert sum(one.held for one in self.processes.values()) <= self.caps.max_concurrent
        if self.caps.requests_per_minute is not None:
            assert sum(at > self.now - 61 for at in self.sent) <= self.caps.requests_per_minute
        return settled


def test_a_request_that_nobody_sent_counts_no_more_and_one_that_is_sent_does() -> None:
    state, of = LimitState(), caps(requests_per_minute=2)
    assert ask(state, of, now=1_000.0).granted == 1
    assert ask(state, of, now=1_005.0).granted == 1
    refunded = settle(state, of, A, Ask(0, [None, None], [1_000.0]), 1_010.0, alive=ALIVE)
    assert refunded.granted == 1
    assert refunded.waits_s == [pytest.approx(57.0)], "the one at 1,005 still counts"
    again = settle(state, of, A, Ask(0, [None], [1_000.0]), 1_020.0, alive=ALIVE)
    assert again.granted == 0, "no other request is taken off in its place"


steps = st.lists(
    st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["come", "come", "ask", "end", "leave"]), st.floats(0, 30)),
    max_size=60,
)
limits = st.none() | st.integers(1, 5)


@given(steps, limits, limits)
def test_no_minute_and_no_moment_sees_more_than_it_may_whatever_processes_do(
    done: list[tuple[UUID, str, float]], max_concurrent: int | None, per_minute: int | None
) -> None:
    world = World(caps(max_concurrent, per_minute))
    for who, what, pause_s in done:
        world.do(who, what)
        world.ask(who)
        world.now += pause_s


@given(steps, limits, limits)
def test_everybody_who_stays_goes_in_the_end_and_processes_are_told_when_it_is_their_turn(
    done: list[tuple[UUID, str, float]], max_concurrent: int | None, per_minute: int | None
) -> None:
    world = World(caps(max_concurrent, per_minute))
    for who, what, pause_s in done:
        world.do(who, what)
        world.now += pause_s
    for _ in range(200):
        for who in ALIVE:
            world.processes[who].held = 0
            world.ask(who)
        world.now += 70 if world.caps.requests_per_minute else 0
    assert [process.queue for process in world.processes.values()] == [[], [], []]


def test_the_whole_of_a_minute_may_go_at_once_and_the_next_of_it_62_seconds_later() -> None:
    state = LimitState()
    first = ask(state, caps(None, 3), queue=5)
    assert (first.granted, first.waits_s) == (3, [62.0, 62.0])
    assert ask(state, caps(None, 3), now=1_061.9, queue=2).granted == 0
    assert ask(state, caps(None, 3), now=1_062.0, queue=2).granted == 2


def test_who_waits_is_told_when_so_many_will_have_room() -> None:
    state = LimitState()
    ask(state, caps(None, 2), now=1_000.0)
    ask(state, caps(None, 2), now=1_010.0)
    told = ask(state, caps(None, 2), now=1_020.0, queue=3)
    assert (told.granted, told.waits_s) == (0, [42.0, 52.0, 104.0])


def test_requests_in_flight_in_other_processes_take_room() -> None:
    state = LimitState()
    assert ask(state, caps(3), A, queue=2).granted == 2
    second = ask(state, caps(3), B, queue=2)
    assert (second.granted, second.waits_s) == (1, [None])
    assert ask(state, caps(3), A, held=1, queue=0).is_others_turn, "B has to be told that a request of A has ended"


def test_who_came_first_goes_first_in_whichever_process() -> None:
    state = LimitState()
    assert ask(state, caps(1), A, 1_000.0).granted == 1
    assert ask(state, caps(1), B, 1_001.0).granted == 0
    ended = settle(state, caps(1), A, Ask(0, [1_002.0]), 1_003.0, alive=ALIVE)
    assert (ended.granted, ended.is_others_turn) == (0, True)
    assert settle(state, caps(1), B, Ask(0, [1_001.0]), 1_004.0, alive=ALIVE).granted == 1
    assert settle(state, caps(1), B, Ask(0, [1_005.0]), 1_006.0, alive=ALIVE).granted == 0, "A has waited for longer"
    assert settle(state, caps(1), A, Ask(0, [1_002.0]), 1_007.0, alive=ALIVE).granted == 1


def test_what_a_dead_process_held_is_free_again() -> None:
    held = {B: Share(held=1), C: Share(held=1)}
    state = LimitState(shares=dict(held))
    assert settle(state, caps(2), A, Ask(0, [None]), 1_000.0, alive={B: True}).granted == 1, "C's lease has run out"
    assert set(state.shares) == {A, B}


def test_a_free_lock_is_believed_only_when_it_stays_free() -> None:
    state = LimitState(shares={B: Share(held=1)})
    grants = [
        settle(state, caps(1), A, Ask(0, [None]), now, alive={B: is_locked}).granted
        for now, is_locked in [(1_000.0, False), (1_000.5, True), (1_000.9, False), (1_001.8, False), (1_001.9, False)]
    ]
    assert grants == [0, 0, 0, 0, 1]


def test_a_pause_holds_for_connections_without_limits_too_and_all_go_when_it_is_over() -> None:
    state = LimitState(paused_until=1_090.0)
    paused = ask(state, caps(), queue=2)
    assert (paused.granted, paused.waits_s) == (0, [90.0, 90.0])
    assert ask(state, caps(), now=1_090.0, queue=2).granted == 2


def test_a_limit_that_is_lowered_lets_nobody_through_until_enough_have_ended() -> None:
    state = LimitState()
    assert ask(state, caps(4), queue=4).granted == 4
    assert ask(state, caps(2), held=3).granted == 0
    assert ask(state, caps(2), held=1).granted == 1


def test_a_clock_that_is_set_back_stops_nobody_for_longer_than_a_minute() -> None:
    state = LimitState()
    ask(state, caps(None, 1), now=1_000_000.0)
    assert ask(state, caps(None, 1), now=1_000.0).waits_s == [62.0]
    assert ask(state, caps(None, 1), now=1_062.0).granted == 1


def test_a_pause_of_a_clock_that_was_set_back_since_is_over() -> None:
    state = LimitState(paused_until=100_000.0)
    assert ask(state, caps(), now=100_000.0 - 3_600.0).granted == 0, "an hour is the longest that may be asked for"
    assert ask(state, caps(), now=10_000.0).granted == 1


def test_since_when_somebody_waits_by_a_clock_that_is_ahead_does_not_put_him_behind_all_others() -> None:
    state, of = LimitState(), caps(1)
    assert ask(state, of, A, 1_000.0).granted == 1
    assert settle(state, of, B, Ask(0, [5_000.0]), 1_001.0, alive=ALIVE).granted == 0
    assert ask(state, of, C, 1_002.0).granted == 0
    assert ask(state, of, A, 1_003.0, queue=0).is_others_turn
    assert ask(state, of, C, 1_004.0).granted == 0, "B has waited for longer"
    assert settle(state, of, B, Ask(0, [1_001.0]), 1_005.0, alive=ALIVE).granted == 1


@pytest.mark.parametrize(("wait_s", "text"), [(None, "try again later."), (4.2, "try again in about 5 s.")])
def test_who_finds_no_room_is_told_when_to_come_back(wait_s: float | None, text: str) -> None:
    fault = NoRoom("api", wait_s)
    assert (fault.code, fault.is_retryable, fault.retry_after_s) == ("RATE_LIMITED", True, wait_s)
    assert fault.message == f"The connection 'api' takes no more requests for now; {text}"
