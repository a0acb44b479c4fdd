from __future__ import annotations

import asyncio
import io
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from rich.console import Console

from gql.asking.people import People
from gql.asking.terminal import Terminal
from gql.client.events import read_event, read_run
from gql.client.logins import Tokens
from gql.client.run_view import RunView
from gql.client.session import ApiClient
from gql.screens import LineScreen, TreeScreen
from tests.support.cli import sent
from tests.support.fake_api import RUN, FakeApi, event, node_event, opened, serving
from tests.support.pty import terminal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.support.pty import Pty

FORM = {
    "type": "object",
    "required": ["stars"],
    "properties": {
        "stars": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How good it is."},
        "note": {"type": "string"},
    },
}
QUESTION: dict[str, Any] = {
    "id": "approval_1",
    "nodeKey": "ask",
    "itemIndex": None,
    "title": "Is it good?",
    "message": "The answer was **42**.",
    "form": FORM,
    "actions": ["approve", "reject"],
    "assignees": [],
    "isAnswerable": True,
    "status": "OPEN",
    "expiresAt": "2026-11-23T12:00:00Z",
}
TAKEN: dict[str, Any] = {"answerApproval": {"approval": {"id": "approval_1", "title": "Is it good?"}, "userErrors": []}}


def refused(message: str, code: str, *path: str, **more: Any) -> dict[str, Any]:
    error = {"message": message, "code": code, "path": ["input", *path], **more}
    return {"answerApproval": {"approval": None, "userErrors": [error]}}


def asking_api(question: dict[str, Any] = QUESTION, *answers: dict[str, Any]) -> FakeApi:
    scripted = iter([*answers, TAKEN])

    def next_answer(_: dict[str, Any]) -> dict[str, Any]:
        return next(scripted)

    asked = {"run": {"approvals": {"nodes": [question]}}}
    return FakeApi(answers={"OpenQuestions": asked, "AnswerApproval": next_answer})


def view() -> RunView:
    run = opened("WAITING")
    run["graph"] = {"nodes": [{"key": "ask", "name": "Ask", "kind": "APPROVAL"}], "edges": []}
    return RunView.of(read_run(run))


@asynccontextmanager
async def asked(api: FakeApi) -> AsyncGenerator[tuple[Pty, People]]:
    """Watch a run that asks, at a terminal."""
    with terminal() as pty, os.fdopen(os.dup(pty.inside), "w") as file:
        console = Console(file=file, width=120, force_terminal=True, color_system=None)
        async with serving(api), aiohttp.ClientSession() as http:
            people = People(ApiClient(http, api.url, Tokens(access_token="first")), RUN, Terminal(console, pty.inside))
            async with TreeScreen(shown := view(), console) as screen, people.listening(shown, screen):
                yield pty, people


async def test_a_question_is_asked_with_its_form_and_what_does_not_fit_is_asked_again() -> None:
    api = asking_api()
    async with asked(api) as (pty, people):
        before = await pty.until("Answer (approve / reject; empty = later):")
        assert "ask asks: Is it good?" in before
        assert "The answer was **42**." in before
        pty.line("perhaps")
        assert "There is no answer 'perhaps'." in await pty.until("Answer (approve")
        pty.line("a")
        assert "How good it is." in await pty.until("stars (whole number from 1 to 5):")
        pty.line("many")
        assert "'many' is no whole number." in await pty.until("stars (whole number")
        pty.line("7")
        assert "maximum of 5" in await pty.until("stars (whole number")
        assert sent(api, "AnswerApproval") == []
        pty.line("4")
        await pty.until("note (text, may be empty):")
        pty.line()
        await pty.until("hello  WAITING")
        assert people.how_to_answer() == []
    assert sent(api, "AnswerApproval") == [{"id": "approval_1", "action": "approve", "values": {"stars": 4}}]


async def test_only_the_field_that_the_server_refuses_is_asked_again() -> None:
    api = asking_api(QUESTION, refused("Too kind.", "INVALID_INPUT", "values", "stars"))
    async with asked(api) as (pty, _):
        await pty.until("Answer (approve")
        pty.line("reject")
        await pty.until("stars (")
        pty.line("5")
        await pty.until("note (")
        pty.line("well done")
        assert "Too kind." in await pty.until("stars (")
        pty.line("2")
        await pty.until("hello  WAITING")
    tries = [variables["values"] for variables in sent(api, "AnswerApproval")]
    assert tries == [{"stars": 5, "note": "well done"}, {"stars": 2, "note": "well done"}]


async def test_who_comes_second_is_told_who_was_first() -> None:
    conflict = refused(
        "The question was answered already, with 'reject'.", "CONFLICT", "approvalId", changedBy={"name": "Bob"}
    )
    async with asked(asking_api(QUESTION | {"form": None}, conflict)) as (pty, people):
        await pty.until("Answer (approve")
        pty.line("approve")
        await pty.until("with 'reject'. (Bob was first.)")
        await pty.until("hello  WAITING")
        assert people.how_to_answer() == []


async def test_a_question_that_somebody_else_answers_is_withdrawn() -> None:
    api = asking_api()
    async with asked(api) as (pty, people):
        await pty.until("Answer (approve")
        done = {"title": "Is it good?", "action": "reject", "answeredBy": {"name": "Bob"}}
        people.hear(read_event(node_event(9, "ApprovalAnswered", approval=done)))
        await pty.until("No answer is needed any more:")
        await pty.until("Bob answered reject")
        await pty.until("hello  WAITING")
        assert people.how_to_answer() == []
    assert sent(api, "AnswerApproval") == []


async def test_an_empty_line_or_the_end_of_the_input_leaves_it_open_and_says_how_to_answer_later() -> None:
    later = "anabranch approve approval_1 approve|reject --value 'stars=…'"
    for typed in ("\n", "\x04"):
        api = asking_api()
        async with asked(api) as (pty, people):
            await pty.until("Answer (approve")
            pty.type(typed)
            await pty.until(f"The question stays open: {later}")
            await pty.until("hello  WAITING")
            people.hear(read_event(node_event(9, "ApprovalRequested", approval={"title": "Is it good?"})))
            assert people.how_to_answer() == [f"It waits for an answer: {later}"]
        assert sent(api, "AnswerApproval") == []


async def test_what_was_typed_before_the_question_is_no_answer() -> None:
    api = asking_api(QUESTION | {"form": None})
    with terminal() as pty, os.fdopen(os.dup(pty.inside), "w") as file:
        console = Console(file=file, width=120, force_terminal=True, color_system=None)
        pty.line("approve")
        one = Terminal(console, pty.inside)
        one.forget_typed()
        typed = asyncio.create_task(one.ask("Well?"))
        await pty.until("Well?")
        pty.line("reject")
        assert await typed == "reject"
    assert sent(api, "AnswerApproval") == []


async def test_the_end_of_the_run_ends_the_prompt() -> None:
    async with asked(asking_api()) as (pty, people):
        await pty.until("Answer (approve")
        people.hear(read_event(event(9, "RunCanceled")))
        await pty.until("No answer is needed any more:")
        await pty.until("run CANCELED")


async def test_without_a_terminal_the_question_and_the_command_are_printed() -> None:
    file, told = io.StringIO(), asyncio.Event()
    api = asking_api(QUESTION | {"assignees": ["bob@example.com"], "isAnswerable": False})
    shown = view()
    screen = LineScreen(shown, Console(file=file, width=60, color_system=None))
    said = screen.say

    def say(text: str, style: str) -> None:
        said(text, style)
        if "Answer with" in text:
            told.set()

    screen.say = say  # type: ignore[method-assign]
    async with serving(api), aiohttp.ClientSession() as http:
        people = People(ApiClient(http, api.url, Tokens(access_token="first")), RUN, None)
        async with screen, people.listening(shown, screen):
            await asyncio.wait_for(told.wait(), 20)
    assert file.getvalue().splitlines() == [
        "? Is it good?",
        "  The answer was **42**.",
        "  Asked of bob@example.com.",
        "  Answer with: anabranch approve approval_1 approve|reject --value 'stars=…'",
    ]


async def test_a_run_that_asks_nobody_is_not_asked_what_it_asks() -> None:
    api = asking_api()
    shown = RunView.of(read_run(opened("RUNNING")))
    screen = LineScreen(shown, Console(file=io.StringIO()))
    async with serving(api), aiohttp.ClientSession() as http:
        people = People(ApiClient(http, api.url, Tokens(access_token="first")), RUN, None)
        async with screen, people.listening(shown, screen):
            people.hear(read_event(node_event(3, "NodeStarted")))
            await asyncio.sleep(0)
    assert api.requests == []
