"""The command at a terminal: a run that is watched asks whoever sits there."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.pty import terminal
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.pty import Pty

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

FILE = """
name: Review
nodes:
  ask:
    approval:
      title: Is it good enough?
      form:
        type: object
        required: [stars]
        properties:
          stars: {type: integer, minimum: 1, maximum: 5}
      actions: [approve, reject]
  publish:
    transform:
      fields:
        - {name: stars, value: "{{ nodes.ask.output.values.stars }}"}
edges:
  - ask.approve -> publish
"""
ASKED = "query($id: ID!) { run(id: $id) { status output approvals { nodes { id status action } } } }"
ANSWER = """
mutation($input: AnswerApprovalInput!) { answerApproval(input: $input) { userErrors { message } } }
"""


@pytest.fixture
async def caller(tmp_path: Path, database_url: str) -> AsyncGenerator[Caller]:
    async with (
        serving_anabranch(settings_on(database_url, tmp_path)) as url,
        aiohttp.ClientSession() as session,
    ):
        made = Caller(url, session)
        await made.sign_up()
        yield made


def environment(caller: Caller, home: Path) -> dict[str, str]:
    """Return what the command is told: the server, who calls, and a home without any login."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    return kept | {
        "ANABRANCH_URL": caller.url,
        "ANABRANCH_API_KEY": caller.token,
        "ANABRANCH_DATA_DIR": str(home),
        "HOME": str(home),
        "TERM": "xterm",
    }


@asynccontextmanager
async def command(caller: Caller, home: Path, *arguments: str) -> AsyncGenerator[tuple[Pty, Process]]:
    """Call `anabranch` at a terminal, which sends it what Ctrl-C means."""
    program = "import os, sys; os.login_tty(0); from gql.cli import main; main()"
    with terminal() as pty:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, *arguments),
            stdin=pty.inside,
            stdout=pty.inside,
            stderr=pty.inside,
            env=environment(caller, home),
            cwd=home,
        )
        try:
            yield pty, process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def state(caller: Caller, run_id: str) -> dict[str, Any]:
    """Return the run as the API tells of it."""
    return (await caller.ask(ASKED, id=run_id))["run"]


async def asking(caller: Caller, home: Path, *more: str) -> str:
    """Store the workflow, start it, and return the run's id."""
    (home / "review.yaml").write_text(FILE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anabranch", "run", "./review.yaml", *more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(caller, home),
        cwd=home,
    )
    out, _ = await process.communicate()
    return out.decode().split("Started ")[1].split(";")[0]


async def test_run_with_watch_asks_and_goes_on_with_the_answer(caller: Caller, tmp_path: Path) -> None:
    (tmp_path / "review.yaml").write_text(FILE)
    async with command(caller, tmp_path, "run", "review.yaml", "--watch") as (pty, process):
        shown = await pty.until("Answer (approve / reject; empty = later):")
        assert "? Is it good enough?" in shown
        assert "asks a person until" in shown
        pty.line("approve")
        await pty.until("stars (whole number from 1 to 5):")
        pty.line("6")
        assert "maximum of 5" in await pty.until("stars (whole number")
        pty.line("5")
        await pty.until("SUCCEEDED")
        await pty.until('"stars": 5')
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_ctrl_c_leaves_the_run_waiting_and_says_how_to_answer_later(caller: Caller, tmp_path: Path) -> None:
    run_id = await asking(caller, tmp_path)
    async with command(caller, tmp_path, "watch", run_id) as (pty, process):
        await pty.until("Answer (approve")
        question = (await state(caller, run_id))["approvals"]["nodes"][0]
        pty.type("\x03")
        await pty.until(f"The run goes on: anabranch watch {run_id}")
        await pty.until(f"It waits for an answer: anabranch approve {question['id']} approve|reject --value 'stars=…'")
        assert await asyncio.wait_for(process.wait(), 30) == 130
    now = await state(caller, run_id)
    assert now["approvals"]["nodes"][0]["status"] == "OPEN"
    assert now["status"] in {"RUNNING", "WAITING"}  # it leaves memory a moment after it has asked


async def test_an_answer_from_elsewhere_ends_the_prompt_and_the_watch_goes_on(caller: Caller, tmp_path: Path) -> None:
    run_id = await asking(caller, tmp_path)
    async with command(caller, tmp_path, "watch", run_id) as (pty, process):
        await pty.until("Answer (approve")
        question = (await state(caller, run_id))["approvals"]["nodes"][0]
        given = {"approvalId": question["id"], "action": "approve", "values": {"stars": 3}}
        assert (await caller.ask(ANSWER, input=given))["answerApproval"]["userErrors"] == []
        await pty.until("No answer is needed any more:")
        await pty.until("answered approve")
        await pty.until("SUCCEEDED")
        assert await asyncio.wait_for(process.wait(), 30) == 0
    assert (await state(caller, run_id))["output"] == {"publish": {"stars": 3}}


async def test_without_a_terminal_the_command_to_answer_is_printed_and_the_watch_goes_on(
    caller: Caller, tmp_path: Path
) -> None:
    run_id = await asking(caller, tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anabranch", "watch", run_id),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(caller, tmp_path),
        cwd=tmp_path,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        lines: list[str] = []
        while "Answer with:" not in "".join(lines):
            lines.append((await process.stdout.readline()).decode())
        words = lines[-1].split()
        assert words[2:4] == ["anabranch", "approve"]
        # The command, as it is printed: an action chosen, the value filled in.
        program = [sys.executable, "-m", "anabranch", "approve", words[4], "approve", "--value", "stars=4"]
        answered = await asyncio.create_subprocess_exec(*program, env=environment(caller, tmp_path), cwd=tmp_path)
        assert await answered.wait() == 0
        rest = (await process.stdout.read()).decode()
        assert "answered approve" in rest
        assert await process.wait() == 0
    assert (await state(caller, run_id))["output"] == {"publish": {"stars": 4}}
