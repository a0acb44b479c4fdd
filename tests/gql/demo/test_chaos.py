from __future__ import annotations

import asyncio
from typing import Any

from gql.client.events import read_event, read_run
from gql.client.run_view import RunView
from gql.demo.chaos import Chaos
from tests.support.fake_api import event, node_event, opened


class Victim:
    """Says when it was killed and started again."""

    def __init__(self) -> None:
        self.kills = 0
        self.restarts = 0

    def kill(self) -> int:
        self.kills += 1
        return 4711

    def restart(self) -> None:
        self.restarts += 1


class Play:
    """Feeds a run to the chaos, event by event."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._view = RunView.of(read_run(opened()))
        self._seq = 0

    def tell(self, type_: str, **fields: Any) -> str | None:
        self._seq += 1
        is_run = type_.startswith("Run")
        raw = event(self._seq, type_, **fields) if is_run else node_event(self._seq, type_, **fields)
        told = read_event(raw)
        self._view.apply(told)
        return self._chaos.see(told, self._view)

    def pieces(self, count: int, attempt: int) -> list[str]:
        """Tell pieces of an answer; gives what was said about them."""
        said: list[str] = []
        for place in range(count):
            one = self.tell("NodeOutputDelta", attempt=attempt, channel="TEXT", text="x", offset=place)
            said += [one] if one else []
        return said


async def test_it_kills_after_some_pieces_of_each_attempt_until_it_has_killed_often_enough() -> None:
    victim = Victim()
    async with asyncio.TaskGroup() as group:
        chaos = Chaos(victim, 2, group)
        play = Play(chaos)
        assert play.tell("NodeStarted") is None
        [said] = play.pieces(6, attempt=1)  # two of them were under way when the server died
        assert said.startswith("✖ SIGKILL: the server (process 4711) is dead after 4 pieces")
        assert victim.kills == 1
        recovered = play.tell("RunRecovered", restartedNodeKeys=["ask"])
        assert recovered is not None
        assert recovered.startswith("✔ The run goes on 0.0 s after the kill: 0 nodes are kept")
        assert len(play.pieces(6, attempt=2)) == 1
        assert play.tell("RunRecovered", restartedNodeKeys=["ask"]) is not None
        assert play.pieces(20, attempt=3) == []
    assert (victim.kills, victim.restarts) == (2, 2)
    assert [kill.pieces for kill in chaos.tally.kills] == [4, 6]
    assert all(kill.recovery_s is not None for kill in chaos.tally.kills)
    assert len(chaos.tally.arrived) == 35


async def test_without_kills_it_only_counts() -> None:
    victim = Victim()
    async with asyncio.TaskGroup() as group:
        play = Play(chaos := Chaos(victim, 0, group))
        assert play.pieces(20, attempt=1) == []
        assert play.tell("RunRecovered") is None, "somebody else's kill"
    assert (victim.kills, len(chaos.tally.arrived)) == (0, 21)


async def test_nodes_that_had_ended_well_are_noted_at_the_kill() -> None:
    async with asyncio.TaskGroup() as group:
        chaos = Chaos(Victim(), 1, group)
        view = RunView.of(read_run(opened()))
        for seq, raw in enumerate([node_event(1, "NodeSucceeded"), *_pieces(4)], 1):
            told = read_event(raw | {"seq": seq})
            view.apply(told)
            chaos.see(told, view)
    assert chaos.tally.kills[0].done == {"ask"}


def _pieces(count: int) -> list[dict[str, Any]]:
    return [
        node_event(place, "NodeOutputDelta", "write", channel="TEXT", text="x", offset=place) for place in range(count)
    ]
