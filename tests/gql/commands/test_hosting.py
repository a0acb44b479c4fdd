from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from rich.console import Console

from gql import cli
from gql.commands.loopback import Told, address_of, on_loopback, with_model
from runtime.settings import LlmSettings, OutboundSettings, Settings
from tests.support.logs import logs_as_before

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["logs_as_before"]


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.usefixtures("logs_as_before")
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_database_that_does_not_answer_is_one_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = "postgresql://nobody@127.0.0.1:9/none"
    status = ended(command, "--database-url", where, *(["--port", "0"] if command == "serve" else []))
    told = capsys.readouterr()
    assert status == 1
    assert told.err.startswith("The database does not answer: ")
    assert told.err.count("\n") == 1
    assert "listens" not in told.out


@pytest.mark.usefixtures("logs_as_before")
def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ended("dev", "--port", str(port), "--data-dir", str(tmp_path)) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"Cannot listen on 127.0.0.1 port {port}: ")
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing was started"


@pytest.mark.parametrize("count", ["0", "33", "many"])
def test_the_number_of_processes_is_bounded(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("serve", "--workers", count) == 2
    told = capsys.readouterr()
    assert "--workers" in told.err
    assert told.err.count("\n") == 1


def test_more_processes_than_the_embedded_database_has_connections_for_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("serve", "--port", "0", "--data-dir", str(tmp_path), "--workers", "11") == 1
    told = capsys.readouterr()
    assert told.err.startswith("The embedded PostgreSQL has no connections for 11 processes: start at most 10, ")
    assert list(tmp_path.iterdir()) == [], "nothing was started"


@pytest.mark.usefixtures("logs_as_before")
def test_several_processes_that_cannot_start_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = "postgresql://nobody@127.0.0.1:9/none"
    assert ended("serve", "--database-url", where, "--port", "0", "--workers", "2") == 1
    told = capsys.readouterr()
    assert told.err.startswith("The database does not answer: ")
    assert told.err.count("\n") == 1
    assert "listens" not in told.out


def test_a_worker_without_room_for_runs_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_RUNS__MAX_CONCURRENT_RUNS", "0")
    assert ended("worker") == 1
    assert capsys.readouterr().err == "A worker without room for runs does nothing: give --concurrency.\n"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 -- translated
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("example.com", "http://example.com:80"),
    ],
)
def test_the_address_is_one_that_can_be_connected_to(host: str, url: str) -> None:
    assert address_of(host, 80) == url


def test_on_loopback_nothing_of_the_outside_is_used_and_nodes_reach_the_server_itself_alone() -> None:
    settings = Settings().model_copy(
        update={"host": "0.0.0.0", "outbound": OutboundSettings(allowed=("10.0.0.1:80",))}  # noqa: S104 -- replaced
    )
    local = on_loopback(settings, 4321)
    assert (local.host, local.port, local.database_url) == ("127.0.0.1", 4321, None)
    assert local.outbound.allowed == ("10.0.0.1:80", "127.0.0.1:4321")
    assert local.is_loopback


def test_the_demo_tells_its_server_all_but_keys(tmp_path: Path) -> None:
    plain = Settings().model_copy(update={"data_dir": tmp_path})
    llm = LlmSettings.model_validate({"base_url": "http://127.0.0.1:1/v1", "model": "m", "api_key": "secret-key"})
    local = on_loopback(plain, 4321).model_copy(update={"llm": llm})
    told = Told.of(local, 7).model_dump_json()
    assert "secret-key" not in told
    received = Told.model_validate_json(told)
    assert received.listener == 7
    child = received.settings(Settings())
    assert (child.port, child.data_dir, child.outbound) == (4321, tmp_path, local.outbound)
    assert (child.llm.base_url, child.llm.model, child.is_development) == ("http://127.0.0.1:1/v1", "m", True)


async def test_a_key_alone_means_qwen_and_with_an_address_any_endpoint() -> None:
    file = io.StringIO()
    console = Console(file=file, width=40)
    key = SecretStr("sk-canary")
    async with with_model(Settings(llm=LlmSettings(api_key=key)), console) as settings:
        assert (settings.llm.base_url or "").startswith("https://dashscope")
        assert (settings.llm.model, settings.llm.api_key) == ("qwen-plus", key)
    own = LlmSettings(api_key=key, base_url="https://models.example.com/v1", model="tiny")
    async with with_model(Settings(llm=own), console) as settings:
        assert settings.llm == own
    first, second = file.getvalue().splitlines()
    assert first.startswith("Model: qwen-plus at dashscope")
    assert second == "Model: tiny at models.example.com (as configured)"
    assert "canary" not in file.getvalue()
