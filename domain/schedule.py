"""A run as a state machine: `evolve` folds an event into the state, `decide` says what to do next.

No I/O, no clock, no randomness, and no values: only facts (which port, which error code, how many items). Expressions are
evaluated where the data is. The cost of an event is the degree of its node, never the size of the graph. Recovery is the
same fold over the stored log. Graph semantics: domain.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from domain.evolution import evolve
from domain.run import Failure, RunStatus, SkipReason
from domain.run_state import State, begin

if TYPE_CHECKING:
    from domain.items import ItemList

__all__ = [
    "Command",
    "EndItems",
    "Finish",
    "SkipNode",
    "StartNode",
    "State",
    "StopNode",
    "begin",
    "break_off",
    "decide",
    "evolve",
    "expire",
    "give_up",
    "stop_for",
    "told_to_stop",
    "wake",
]


@dataclass(frozen=True, slots=True)
class StartNode:
    """Log NodeStarted with this execution, then run the node (or item).

    A node whose `when` is false is logged as NodeSkipped instead; one with `forEach` as NodeExpanded behind its start.
    """

    slot: int
    execution: int


@dataclass(frozen=True, slots=True)
class EndItems:
    """Log the end of a node with `forEach`, whose items have ended: with their outputs, or with this failure."""

    index: int
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class SkipNode:
    """Log NodeSkipped."""

    index: int
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class StopNode:
    """Stop the work of the node (or item), then log NodeCanceled; given until `told_to_stop` or that event answers it.

    What was told to stop and waits or is to be started again instead is stopped once more.
    """

    slot: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Log the end of the run; nothing is in flight."""

    status: RunStatus


Command: TypeAlias = StartNode | EndItems | SkipNode | StopNode | Finish


def decide(state: State) -> list[Command]:
    """Return what has to be done now; the same commands again until events answer them."""
    if not state.is_started or state.is_finished:
        return []
    if state.is_stopping:
        return _wind_up(state)
    commands: list[Command] = [SkipNode(index, reason) for index, reason in state.to_skip.items()]
    for index in state.due:
        commands += _go_on(state, index, state.lists[index])
    taken = len(state.running) - state.items_running + len(state.lists)
    room = 0 if state.is_paused else state.plan.settings.max_parallel_nodes - taken
    for index in chain(state.woken, state.ready):
        if room <= 0:
            break
        room -= 1
        commands.append(StartNode(index, state.nodes[index].execution + 1))
    if state.unsettled == 0:
        commands.append(Finish(RunStatus.FAILED if state.failure else RunStatus.SUCCEEDED))
    return commands


def _go_on(state: State, index: int, items: ItemList) -> list[Command]:
    """Return what has to be done for the items of one node."""
    if items.is_over:
        return [EndItems(index, items.failure)]
    if items.failure is not None:
        slots = (state.plan.slot(index, item) for item in items.begun)
        return [StopNode(slot) for slot in slots if slot not in state.stopping]
    if state.is_paused:
        return []
    return [StartNode(state.plan.slot(index, item), execution) for item, execution in items.startable()]


def _wind_up(state: State) -> list[Command]:
    # What waits to be started again, after its backoff or a crash, was begun and has to be told its end.
    begun = [*_at_work(state), *state.retrying, *state.waiting, *state.woken]
    for index, items in state.lists.items():
        begun += [state.plan.slot(index, item) for item in items.ready] if items.begun else [index]
    if begun:
        return [StopNode(slot) for slot in begun]
    if state.running:
        return []
    return [Finish(RunStatus.CANCELED if state.is_canceling else RunStatus.FAILED)]


def _at_work(state: State) -> list[int]:
    """Return what is at work and was not told to stop."""
    if len(state.stopping) == len(state.running):  # so it is for each of many that end one by one
        return []
    return [slot for slot in state.running if slot not in state.stopping]


def told_to_stop(state: State, slot: int) -> None:
    """Tell that what is at work on a node (or item) was told to stop; it ends by itself now."""
    state.stop(slot)


def wake(state: State, slot: int) -> None:
    """Tell that the backoff of a RETRYING node (or item) is over, or that there is room for one that waits for it."""
    if state.retrying.pop(slot, None) is not None or state.waiting.pop(slot, None) is not None:
        state.make_ready(slot)


def break_off(state: State, index: int, failure: Failure) -> None:
    """Tell that a node cannot end well whatever its items do: they are stopped, and it fails."""
    items = state.lists[index]
    items.failure = items.failure or failure
    state.due[index] = None


def expire(state: State) -> None:
    """Tell that the time of the whole run is over: everything stops and the run fails."""
    stop_for(state, Failure("TIMED_OUT", "The run took longer than its timeout allows."))


def stop_for(state: State, failure: Failure) -> None:
    """Tell that the run as a whole has come to a limit: everything stops and the run fails."""
    if not state.is_stopping:
        state.failure = failure
        state.is_stopping = True


def give_up(state: State) -> None:
    """Tell that nothing may start any more, for a reason that is the caller's."""
    state.is_stopping = True
