"""What GraphiQL copies is really run: commands by bash, programs by tsc and Node.js 24."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.cutting_proxy import cutting_proxy
from tests.support.graphiql import copied, show, type_variables
from tests.support.node import find_node
from tests.support.pages import calling_as, computing, sign_up
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import Page

    from tests.support.server_process import Caller

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

MODULES = Path(__file__).parents[2] / "web" / "node_modules"
STRICT = ("--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--pretty", "false")
HOSTILE = "it's \"$HOME\" `id` $(id) \\ !! \n\t é 川 🌊 %s ${x} * ' ''"
ABOUT = {"nodes": [computing("one", "{{ input.text }}")], "edges": []}
KEY = (
    """mutation { createApiKey(input: { name: "copies", scopes: [READ, EXECUTE] }) { token userErrors { message } } }"""
)
CANCEL = "mutation ($id: ID!) { cancelRun(input: { id: $id }) { userErrors { message } } }"
INPUT = "query ($id: ID!) { run(id: $id) { input workflow { id } } }"


@asynccontextmanager
async def running(*command: str, token: str, folder: Path | None = None) -> AsyncGenerator[asyncio.StreamReader]:
    """Run a command with an API key in the environment; gives what it prints, which has to end by itself."""
    environment = {"PATH": os.environ["PATH"], "ANABRANCH_TOKEN": token}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield process.stdout
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status:
        raise subprocess.CalledProcessError(status, command)


async def ran(*command: str, token: str, folder: Path | None = None) -> str:
    """Run a command to its end, and return what it prints."""
    printed = b""
    try:
        async with running(*command, token=token, folder=folder) as lines:
            printed = await lines.read()
    except subprocess.CalledProcessError as error:
        raise AssertionError(printed.decode()) from error
    return printed.decode()


async def pasted(command: str, token: str) -> str:
    """Run a command that was copied as bash runs it."""
    return await ran("bash", "--norc", "-c", command, token=token)


async def program(folder: Path, name: str, text: str, token: str) -> str:
    """Check a program that was copied as strictly as tsc can, run it, and return what it prints."""
    node = find_node(24)
    await asyncio.to_thread((folder / name).write_text, text, "utf-8")
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(MODULES)
    await ran(str(node.program), str(MODULES / "typescript/bin/tsc"), *STRICT, name, token=token, folder=folder)
    return await ran(str(node.program), name, token=token, folder=folder)


@asynccontextmanager
async def opened(tmp_path: Path, database_url: str) -> AsyncGenerator[tuple[Page, Caller, dict[str, str]]]:
    """Open GraphiQL for someone with a workflow and a run; gives their workflow, run and API key too."""
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url, browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as ada:
            workflow = await ada.create(name="About", graph=ABOUT)
            run = await ada.start(workflow, {"text": "first"})
            await ada.ended(run)
            key = (await ada.ask(KEY))["createApiKey"]["token"]
            await page.goto(f"{url}/graphiql")
            await expect(page.get_by_role("tab", name="RunSnapshot")).to_be_visible()
            yield page, ada, {"workflow": workflow, "run": run, "key": key}
        assert window.complaints == []


async def test_a_command_for_bash_sends_every_character_and_streams_a_subscription(
    tmp_path: Path, database_url: str
) -> None:
    async with opened(tmp_path, database_url) as (page, ada, made):
        await show(page, "RunSnapshot")
        command = await copied(page, "curl")
        assert made["key"] not in command
        assert ada.token not in command
        told = json.loads(await pasted(command, made["key"]))
        assert "errors" not in told
        assert told["data"]["run"]["id"] == made["run"]

        await show(page, "StartRun")
        await type_variables(page, workflowId=made["workflow"], input={"text": HOSTILE})
        told = json.loads(await pasted(await copied(page, "curl"), made["key"]))
        assert told["data"]["startRun"]["userErrors"] == []
        started = await ada.ask(INPUT, id=told["data"]["startRun"]["run"]["id"])
        assert started["run"] == {"input": {"text": HOSTILE}, "workflow": {"id": made["workflow"]}}

        await show(page, "WatchRun")
        command = await copied(page, "curl")
        assert "curl -N" in command
        assert "Accept: text/event-stream" in command
        stream = await pasted(command, made["key"])
        assert "event: complete" in stream
        events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
        assert events[-1]["data"]["runEvents"]["__typename"] == "RunSucceeded"


async def test_a_program_in_typescript_is_typed_and_runs(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    async with opened(tmp_path, database_url) as (page, ada, made):
        for tab, name in {"RunSnapshot": "run-snapshot.mts", "MyWorkflows": "my-workflows.mts"}.items():
            await show(page, tab)
            text = await copied(page, "TypeScript")
            assert ada.token not in text
            assert name in text, "the program says how it is run"
            data = json.loads(await program(folder, name, text, made["key"]))
            assert made["workflow" if tab == "MyWorkflows" else "run"] in json.dumps(data)

        await show(page, "StartRun")
        await type_variables(page, workflowId=made["workflow"], input={"text": HOSTILE})
        data = json.loads(await program(folder, "start-run.mts", await copied(page, "TypeScript"), made["key"]))
        started = await ada.ask(INPUT, id=data["startRun"]["run"]["id"])
        assert started["run"]["input"] == {"text": HOSTILE}


async def test_types_of_a_program_are_those_of_the_schema(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    async with opened(tmp_path, database_url) as (page, _, made):
        await show(page, "RunSnapshot")
        text = await copied(page, "TypeScript")
        wrong = f"{text}\nconst status: 'DONE' | undefined = answer.data?.run?.status;\n"
        with pytest.raises(AssertionError, match="TS2322"):
            await program(folder, "wrong.mts", wrong, made["key"])
        with pytest.raises(AssertionError, match="TS2339"):
            await program(folder, "wrong.mts", f"{text}\nanswer.data?.run?.colour;\n", made["key"])


async def test_a_program_that_follows_a_run_goes_on_behind_the_last_event_after_a_break(
    tmp_path: Path, database_url: str
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    async with opened(tmp_path, database_url) as (page, ada, made):
        await show(page, "WatchRun")
        text = await copied(page, "TypeScript")
        printed = await program(folder, "watch-run.mts", text, made["key"])
        whole = [event["runEvents"] for event in map(json.loads, printed.splitlines())]
        assert whole[-1]["__typename"] == "RunSucceeded"

        pause = {"nodes": [{"key": "pause", "config": {"wait": {"durationMs": 3_600_000}}}], "edges": []}
        run = await ada.start(await ada.create(name="Slow", graph=pause))
        async with cutting_proxy(ada.url) as (proxy, way):
            text = text.replace(ada.url, way).replace(made["run"], run)
            await asyncio.to_thread((folder / "watch-run.mts").write_text, text, "utf-8")
            events: list[dict[str, Any]] = []
            async with running(str(find_node(24).program), "watch-run.mts", token=made["key"], folder=folder) as lines:
                async for line in lines:
                    events.append(json.loads(line)["runEvents"])
                    if len(events) == 1:
                        proxy.cut()
                        # What happens while nobody is connected comes afterwards.
                        await ada.ask(CANCEL, id=run)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "none lost, none twice"
        assert events[-1]["__typename"] == "RunCanceled"
