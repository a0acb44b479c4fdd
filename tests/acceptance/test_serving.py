"""`dev` and `serve` as processes, with the other commands as their clients."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Command = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "gql.cli"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    return outside | {
        "ANABRANCH_DATA_DIR": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "COLUMNS": "200",
    }


@pytest.fixture
def anabranch(environment: dict[str, str]) -> Command:
    """Run a command to its end."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 -- ours
            [*PROGRAM, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@contextlib.contextmanager
def server(environment: dict[str, str], *arguments: str, last_line: str) -> Generator[list[str]]:
    """Run a server until the block ends, then stop it as Ctrl-C does; gives its lines up to the one that is named."""
    # Whoever started these tests in the background may have had SIGINT ignored, which children inherit.
    hear = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(  # noqa: S603 -- ours
        [*PROGRAM, *arguments],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear,  # noqa: PLW1509 -- nothing else runs in this process
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith(last_line):
                    break
            else:
                pytest.fail(f"It ended with {lines} and {process.stderr.read()}")
            yield lines
        finally:
            process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
            process.wait(30)
    lines_of_faults = [line for line in errors.splitlines() if json.loads(line)["event"] != "operation"]
    assert (process.returncode, lines_of_faults) == (0, [])


@pytest.mark.long
@pytest.mark.timeout(180)
def test_dev_is_all_that_other_commands_need(environment: dict[str, str], anabranch: Command, tmp_path: Path) -> None:
    with server(environment, "dev", "--port", "0", last_line="In another terminal") as lines:
        link = next(line for line in lines if line.startswith("GraphiQL")).split()[-1]
        url = link.split("/graphiql#token=")[0]
        pages = next(line for line in lines if line.startswith("Pages, signed in")).split()[-1]
        assert pages.startswith(f"{url}/#token=")
        assert pages.split("&refresh=")[1] != link.split("&refresh=")[1]
        account = tmp_path / "data" / "developer.json"
        assert account.stat().st_mode & 0o777 == 0o600
        token = link.split("#token=")[1].split("&")[0]
        request = urllib.request.Request(  # noqa: S310 -- http, on loopback
            f"{url}/graphql",
            b'{"query": "{ viewer { user { email } } }"}',
            {"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- the same
            assert b"developer-" in answer.read()

        watched = anabranch("run", "examples/hello.yaml", "--watch")
        assert (watched.returncode, watched.stderr) == (0, ""), watched.stdout
        assert "run SUCCEEDED" in watched.stdout
        assert watched.stdout.count("write: + ") > 1

        started = anabranch("run", "hello", "--input", f"server={url}")
        assert started.returncode == 0, started.stderr
        run_id = started.stdout.split()[1].rstrip(";")
        later = anabranch("watch", run_id)
        assert (later.returncode, "SUCCEEDED" in later.stdout) == (0, True), later.stdout
        finished = anabranch("cancel", run_id)
        assert finished.returncode == 1
        assert finished.stderr.count("\n") == 1

        unknown = anabranch("run", "nowhere")
        assert (unknown.returncode, "no workflow 'nowhere'" in unknown.stderr) == (1, True)

    assert anabranch("watch", run_id).returncode == 1, "nobody serves any more"
    assert '"url":null' in account.read_text()


@pytest.mark.long
@pytest.mark.timeout(120)
def test_the_first_account_of_a_server_for_others_needs_its_link(
    environment: dict[str, str], anabranch: Command
) -> None:
    # 127.0.0.2 is loopback for the machine but not for the setting, so nothing is opened to anybody.
    with server(environment, "serve", "--host", "127.0.0.2", "--port", "0", last_line="http") as lines:
        assert "No account yet" in lines[-2]
        assert "/#invite=" in lines[-1]
    made = anabranch("user", "create", "Ada@Example.com", "--password", "correct horse battery")
    assert (made.returncode, made.stdout) == (0, "Made the account ada@example.com.\n"), made.stderr
    again = anabranch("user", "create", "ada@example.com", "--password", "correct horse battery")
    assert again.returncode == 1
    with server(environment, "serve", "--port", "0", last_line="Anabranch") as lines:
        url = next(word for word in lines[0].split() if word.startswith("http")).rstrip(";")
        entered = anabranch("login", "--url", url, "--email", "ada@example.com", "--password", "correct horse battery")
        assert entered.returncode == 0, entered.stderr
        assert anabranch("run", "nowhere", "--url", url).stderr.startswith("There is no workflow")


@pytest.mark.long
@pytest.mark.timeout(120)
def test_migrate_and_doctor_work_without_a_server(anabranch: Command, tmp_path: Path) -> None:
    assert anabranch("migrate").stdout == "The database has the schema of this version.\n"
    assert anabranch("migrate").returncode == 0
    healthy = anabranch("doctor")
    assert "✔ Database: embedded PostgreSQL answers" in healthy.stdout
    assert "✔ Migrations: current" in healthy.stdout
    assert healthy.returncode == (1 if "✘ Pages" in healthy.stdout else 0), healthy.stdout
    (tmp_path / "data" / "developer.json").touch(0o644)
    ill = anabranch("doctor")
    assert ill.returncode == 1
    assert "chmod 600" in ill.stdout
