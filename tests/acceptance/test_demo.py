"""The demo as a stranger sees it: piped and on a terminal, killed, without its model, without its documents."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gql.client.session import ApiClient
from gql.commands import developer
from gql.demo import operations
from gql.demo.corpus import MIN_DOCUMENTS
from gql.demo.library import COLLECTION, TABLE

if TYPE_CHECKING:
    from collections.abc import Generator

    from gql.commands.developer import Developer

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def data() -> Generator[Path]:
    """Give all tests here one data directory: only the first one has to embed the library."""
    with TemporaryDirectory(prefix="anabranch-demo-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def environment(data: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    return plain | {"ANABRANCH_DATA_DIR": str(data), "XDG_CONFIG_HOME": str(data / "config"), "COLUMNS": "120"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "anabranch", *arguments]


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 -- ours
        command(*arguments),
        env=environment(data),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextlib.contextmanager
def started(data: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run the demo beside the test, and end it should the test leave early."""
    process = subprocess.Popen(  # noqa: S603 -- ours
        command("demo", *arguments), env=environment(data), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def read_until(process: subprocess.Popen[str], begin: str) -> str:
    """Return all lines up to the one that begins so."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(begin):
            return "".join(lines)
    raise AssertionError(f"The demo ended without {begin!r}:\n{''.join(lines)}")


def child_of(parent: int, module: str) -> int:
    """Return the id of the process that runs a module for another one."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            is_child = (path / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)
            if is_child and module.encode() in words:
                return int(path.name)
    raise AssertionError(f"Process {parent} runs no {module}.")


def test_it_survives_a_kill_in_mid_stream_and_counts_what_it_claims(data: Path) -> None:
    begin = time.monotonic()
    done = run(data, "demo")
    seconds = time.monotonic() - begin
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}{done.stderr}"
    assert seconds < 90
    assert "\x1b" not in done.stdout
    ingested = re.search(r"(\d+)/\1 documents", done.stdout)
    assert ingested
    assert int(ingested[1]) >= MIN_DOCUMENTS
    for part in (
        f"Collection: {ingested[1]} documents in ",
        "Workflow ask: composed in one mutation, revision 1 (created).",
        "✖ SIGKILL: the server",
        "✔ All of it holds",
        "kills in mid-stream 1 · recoveries 1 · nodes kept 5 events lost 0 · events doubled 0 · rows 1 differing answers 0",
        "read back over GraphQL: ",
        "anabranch run examples/ask.yaml --input question='…' --watch",
    ):
        assert part in " ".join(done.stdout.replace("│", " ").split()), part
    assert re.search(r"back after \d+\.\d s", done.stdout)
    assert re.search(r"answer: started \(attempt 2\)", done.stdout)
    assert re.search(r"^ {13}0\.\d\d  asyncio\.wait: ", done.stdout, re.MULTILINE), "matches are shown with scores"


def on_a_terminal(data: Path, *arguments: str) -> tuple[int, str]:
    """Run the demo on a terminal of its own; gives its status and what was written there."""
    screen, inside = pty.openpty()
    with subprocess.Popen(  # noqa: S603 -- ours
        command("demo", *arguments),
        env=environment(data) | {"TERM": "xterm-256color", "LINES": "50"},
        cwd=ROOT, stdin=inside, stdout=inside, stderr=inside,
    ) as process:  # fmt: skip
        os.close(inside)
        shown, until = b"", time.monotonic() + TIMEOUT_S
        while select.select([screen], [], [], max(0.0, until - time.monotonic()))[0]:
            try:
                piece = os.read(screen, 65_536)
            except OSError:  # nobody has the other end any more
                break
            shown += piece
    os.close(screen)
    return process.returncode, shown.decode()


def test_a_second_one_on_a_terminal_embeds_nothing_again_and_survives_two_kills(data: Path) -> None:
    run(data, "demo", "--chaos", "0")  # the first one, should this test run alone
    status, shown = on_a_terminal(data, "--chaos", "2")
    assert status == 0, shown
    assert "\x1b[" in shown
    assert "nothing had to be embedded again" in shown
    assert "(unchanged)" in shown
    assert shown.count("✖ SIGKILL") == 2
    last = shown[shown.rindex("Keep the row") :]
    for part in ("All of it holds", "Kill 2", "kills in mid-stream 2", "nodes kept 5", "events lost 0", "rows"):
        assert part in last, part


def test_without_its_model_it_fails_with_a_sentence(data: Path) -> None:
    with started(data, "--chaos", "0") as process:
        told = read_until(process, "Signed in as")
        os.kill(child_of(process.pid, "runtime.local_model"), signal.SIGKILL)
        told += process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == 1
    assert re.search(r"^The demo failed\. The run FAILED at answer: MODEL_UNAVAILABLE: .+", told, re.MULTILINE), told
    assert "All of it holds" not in told


async def empty(account: Developer) -> None:
    """Delete every document over the API, as the developer's account."""
    assert account.url is not None
    async with aiohttp.ClientSession() as http:
        client = ApiClient(http, account.url)
        await client.sign_in(account.email, account.password)
        found = await client.execute(operations.FIND_LIBRARY, {"collection": COLLECTION, "table": TABLE})
        collection = found["viewer"]["workspaces"]["nodes"][0]["collection"]
        everything = {"collectionId": collection["id"], "filter": {"path": "kind", "exists": True}}
        payload = await client.mutate(operations.DELETE_DOCUMENTS, {"input": everything})
        assert payload["deletedCount"] == collection["stats"]["documents"] > 0


def ask(data: Path) -> dict[str, list[str]]:
    """Run the example on the server that the demo left running; gives its sources."""
    done = run(data, "run", "examples/ask.yaml", "--input", "question=How do I compare two texts?", "--watch")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    output = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert output["rowsWritten"] == 1
    return output["sources"]


def test_kept_running_it_answers_more_from_its_documents_and_without_them_from_none(data: Path) -> None:
    with started(data, "--keep", "--chaos", "0") as process:
        told = read_until(process, "Ask more")
        assert re.search(r"^Pages, signed in: http://127\.0\.0\.1:\d+/#token=\S+&refresh=\S+$", told, re.MULTILINE)
        assert re.search(
            r"^GraphiQL, signed in: http://127\.0\.0\.1:\d+/graphiql#token=\S+&refresh=\S+$", told, re.MULTILINE
        )
        sources = ask(data)
        assert "difflib.Differ" in sources["members"]
        assert "difflib" in sources["modules"]
        account = developer.find(data)
        assert account is not None
        asyncio.run(empty(account))
        assert ask(data) == {"members": [], "modules": []}
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0
    left = developer.find(data)
    assert left is not None
    assert left.url is None, "no later command looks for a server that is gone"
