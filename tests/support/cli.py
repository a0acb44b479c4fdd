"""The command line in a folder and a server of the test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from gql import cli
from gql.client.logins import Logins, Tokens
from tests.support.fake_api import RUN, FakeApi, opened, serving_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    Command = Callable[..., tuple[int, str, str]]

STORED: dict[str, Any] = {"id": "wf_1", "slug": "hello", "revision": 1, "isRunnable": True, "problems": []}


@pytest.fixture
def api() -> Generator[FakeApi]:
    answers: dict[str, Any] = {
        "FindWorkflow": {"workflows": {"nodes": []}},
        "CreateWorkflow": {"createWorkflow": {"workflow": STORED, "userErrors": []}},
        "UpdateWorkflow": {"updateWorkflow": {"workflow": STORED | {"revision": 2}, "userErrors": []}},
        "StartRun": {"startRun": {"run": {"id": RUN, "status": "QUEUED"}, "userErrors": []}},
        "CancelRun": {"cancelRun": {"run": {"id": RUN, "status": "CANCELING"}, "userErrors": []}},
        "OpenRun": {"run": opened()},
        "Viewer": {"viewer": {"user": {"email": "a@example.com", "name": "A"}}},
    }
    with serving_in_thread(FakeApi(answers=answers)) as api:
        yield api


@pytest.fixture
def anabranch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in a folder of its own; gives status, output and errors."""
    for name in [name for name in os.environ if name.startswith("ANABRANCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out, told.err

    return run


@pytest.fixture
def signed_in(api: FakeApi, anabranch: Command) -> Command:
    """The command, signed in at the fake server."""
    Logins().save(api.url, Tokens(access_token="first", refresh_token="refresh-first"), is_current=True)
    return anabranch


def sent(api: FakeApi, name: str) -> list[dict[str, Any]]:
    """Return the variables of every request of a name."""
    return [variables for asked, variables in api.requests if asked == name]
