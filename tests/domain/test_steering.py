from __future__ import annotations

import pytest

from domain.errors import Conflict
from domain.run import FINISHED, RunStatus
from domain.steering import Steered, next_pause, next_resumption


def test_pauses_and_resumptions_take_turns_under_the_same_number() -> None:
    assert next_pause(Steered(RunStatus.RUNNING)) == 1
    assert next_resumption(Steered(RunStatus.PAUSED, 1, 0)) == 1
    assert next_pause(Steered(RunStatus.WAITING, 1, 1)) == 2


def test_what_was_asked_counts_and_not_what_the_owner_has_obeyed() -> None:
    with pytest.raises(Conflict, match="paused already"):
        next_pause(Steered(RunStatus.RUNNING, 1, 0))
    assert next_resumption(Steered(RunStatus.RUNNING, 1, 0)) == 1
    with pytest.raises(Conflict, match=r"not paused \(PAUSED\)"):
        next_resumption(Steered(RunStatus.PAUSED, 1, 1))


@pytest.mark.parametrize("ask", [next_pause, next_resumption])
@pytest.mark.parametrize("status", sorted(FINISHED))
def test_a_run_that_has_ended_is_neither_paused_nor_resumed(ask: object, status: RunStatus) -> None:
    assert callable(ask)
    with pytest.raises(Conflict, match=f"has ended already \\({status}\\)") as caught:
        ask(Steered(status, 1, 0))
    assert caught.value.path == ["input", "id"]


@pytest.mark.parametrize("ask", [next_pause, next_resumption])
@pytest.mark.parametrize("run", [Steered(RunStatus.CANCELING, 1), Steered(RunStatus.QUEUED, 1, is_cancel_asked=True)])
def test_a_run_that_is_being_stopped_takes_no_other_wish(ask: object, run: Steered) -> None:
    assert callable(ask)
    with pytest.raises(Conflict, match="being stopped"):
        ask(run)
