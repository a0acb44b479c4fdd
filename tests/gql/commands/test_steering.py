from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import anabranch, api, sent, signed_in
from tests.support.fake_api import RUN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fake_api import FakeApi

    Command = Callable[..., tuple[int, str, str]]

__all__ = ["anabranch", "api", "signed_in"]


@pytest.mark.parametrize(
    ("given", "told"),
    [("PAUSED", "is PAUSED"), ("RUNNING", "is asked to pause; until it does it is RUNNING")],
)
def test_a_run_is_paused(signed_in: Command, api: FakeApi, given: str, told: str) -> None:
    api.answers["PauseRun"] = {"pauseRun": {"run": {"id": RUN, "status": given}, "userErrors": []}}
    assert signed_in("pause", RUN) == (0, f"{RUN} {told}.\n", "")
    assert sent(api, "PauseRun") == [{"id": RUN}]


def test_a_paused_run_is_let_go_on_and_one_that_is_not_paused_is_told(signed_in: Command, api: FakeApi) -> None:
    api.answers["ResumeRun"] = {"resumeRun": {"run": {"id": RUN, "status": "PAUSED"}, "userErrors": []}}
    assert signed_in("resume", RUN) == (0, f"{RUN} goes on; anabranch watch {RUN}\n", "")
    refused = {"code": "CONFLICT", "message": "The run is not paused (RUNNING).", "path": ["input", "id"]}
    api.answers["ResumeRun"] = {"resumeRun": {"run": None, "userErrors": [refused]}}
    status, out, err = signed_in("resume", RUN)
    assert (status, out) == (1, "")
    assert err.startswith("The run is not paused (RUNNING).")


WORKFLOW = {"workflows": {"nodes": [{"id": "wf_1", "slug": "hello", "revision": 1}]}}


def test_many_runs_are_stopped_call_by_call_until_none_is_left(signed_in: Command, api: FakeApi) -> None:
    answers = iter([(10_000, True), (7, False)])

    def answer(_: object) -> dict[str, object]:
        count, has_more = next(answers)
        return {"cancelRuns": {"canceledCount": count, "hasMore": has_more, "userErrors": []}}

    api.answers["FindWorkflow"], api.answers["CancelRuns"] = WORKFLOW, answer
    status, out, err = signed_in("cancel", "--workflow", "hello", "--status", "queued", "--yes", "--reason", "Enough.")
    assert (status, out, err) == (0, "10,007 runs are asked to stop.\n", "")
    asked = {"filter": {"workflowIds": ["wf_1"], "statuses": ["QUEUED"]}, "reason": "Enough."}
    assert sent(api, "CancelRuns") == [asked, asked]
    assert sent(api, "CountRuns") == []


@pytest.mark.parametrize("more", [(), ("--yes",)])
def test_runs_that_have_ended_are_not_asked_to_stop(signed_in: Command, api: FakeApi, more: tuple[str, ...]) -> None:
    status, out, err = signed_in("cancel", "--status", "queued", "--status", "succeeded", *more)
    assert (status, out, err) == (1, "", "Runs that are SUCCEEDED have ended; there is nothing to stop.\n")
    assert sent(api, "CountRuns") == sent(api, "CancelRuns") == []


def test_without_a_terminal_many_runs_are_not_stopped_unless_that_is_said(signed_in: Command, api: FakeApi) -> None:
    api.answers["CountRuns"] = {"runs": {"totalCount": 3}}
    status, out, err = signed_in("cancel", "--all")
    assert (status, out) == (2, "")
    assert err == "Invalid value: 3 runs are not finished; give --yes to stop them without being asked.\n"
    assert sent(api, "CancelRuns") == []
    unfinished = ["QUEUED", "RUNNING", "WAITING", "PAUSED", "CANCELING"]
    assert sent(api, "CountRuns") == [{"filter": {"statuses": unfinished}}]


@pytest.mark.parametrize(("typed", "told"), [("y\n", "1 run is asked to stop."), ("n\n", "0 runs are asked to stop.")])
def test_at_a_terminal_a_yes_is_asked_for(
    signed_in: Command, api: FakeApi, monkeypatch: pytest.MonkeyPatch, typed: str, told: str
) -> None:
    api.answers["CountRuns"] = {"runs": {"totalCount": 1}}
    api.answers["CancelRuns"] = {"cancelRuns": {"canceledCount": 1, "hasMore": False, "userErrors": []}}
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    status, out, _ = signed_in("cancel", "--all")
    assert status == 0
    assert out.startswith("1 run is not finished. Stop all of them? [y/N]: ")
    assert out.endswith(f"{told}\n")
    assert len(sent(api, "CancelRuns")) == (typed == "y\n")


@pytest.mark.parametrize("given", [(), (RUN, "--all"), (RUN, "--status", "queued")])
def test_either_one_run_or_a_choice_of_many_is_named(signed_in: Command, api: FakeApi, given: tuple[str, ...]) -> None:
    status, _, err = signed_in("cancel", *given)
    assert (status, err) == (2, "Invalid value: Name one run, or say which with --workflow, --status or --all.\n")
    assert not {name for name, _ in api.requests} & {"CancelRun", "CancelRuns"}
