"""What a run asks while it is watched: the person at the terminal is asked, anybody else is told how to answer."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from typing import TYPE_CHECKING

from gql.asking.dialogue import Given, ask_action, ask_values
from gql.asking.fields import fields_of
from gql.asking.terminal import InputEnded
from gql.client.events import ApprovalEvent, NodeEvent, RunEnded
from gql.client.faults import ClientFault, RequestRefused, ServerUnreachable
from gql.client.questions import answer, open_questions
from gql.live_tree import describe, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gql.asking.terminal import Terminal
    from gql.client.events import Event
    from gql.client.questions import Question
    from gql.client.run_view import RunView
    from gql.client.session import ApiClient
    from gql.screens import Screen

_ENDS = {"ApprovalAnswered", "NodeSucceeded", "NodeFailed", "NodeCanceled"}
_VALUES = ("input", "values")
_PAUSE_S = 1.0


class People:
    """Hears what a run asks. Without a terminal the questions are only told."""

    def __init__(self, client: ApiClient, run_id: str, terminal: Terminal | None) -> None:
        self._client = client
        self._run_id = run_id
        self._terminal = terminal
        self._news = asyncio.Event()
        self._heard: dict[str, Question] = {}
        """The questions that were told or asked, but not seen answered."""
        self._known: set[str] = set()
        self._begin: RunView | None = None
        self._asked: Question | None = None
        self._prompt: asyncio.Task[Given | None] | None = None

    @contextlib.asynccontextmanager
    async def listening(self, view: RunView, screen: Screen) -> AsyncGenerator[None]:
        """Ask what the run asks until the block ends."""
        self._begin = view
        if any(node.kind == "APPROVAL" for node in view.nodes.values()):
            self._news.set()
        task = asyncio.create_task(self._serve(screen), name="ask people what the run asks")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    def hear(self, event: Event) -> None:
        """Take note of an event: a question that was asked, or one that needs no answer any more."""
        if isinstance(event, ApprovalEvent) and event.type == "ApprovalRequested":
            self._news.set()
        for question in [*self._heard.values()]:
            if _is_end_of(event, question):
                del self._heard[question.id]
                if self._asked is question:
                    self._withdraw(event)

    def how_to_answer(self) -> list[str]:
        """Return how what is still open is answered later."""
        return [f"It waits for an answer: {_command(question)}" for question in self._heard.values()]

    async def _serve(self, screen: Screen) -> None:
        """Ask or tell one question after the other, as they come."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                asked = await open_questions(self._client, self._run_id)
            except ServerUnreachable:
                # Whoever watches is told already, and the questions are still there when the server is back.
                await asyncio.sleep(_PAUSE_S)
                self._news.set()
            except ClientFault as fault:
                screen.say(f"What the run asks cannot be read: {fault.message}", "red")
            else:
                for question in asked:
                    if question.id not in self._known:
                        await self._meet(question, screen)

    async def _meet(self, question: Question, screen: Screen) -> None:
        self._known.add(question.id)
        self._heard[question.id] = question
        if self._terminal is None or not question.is_answerable:
            _tell(question, screen)
            return
        await screen.pause()
        await self._ask(question, self._terminal)
        await screen.resume()

    async def _ask(self, question: Question, terminal: Terminal) -> None:
        """Ask until there is an answer that is taken, or none is given now."""
        given: Given | None = None
        refused: tuple[str, ...] = ()
        while question.id in self._heard:
            given = await self._prompted(question, terminal, given, refused)
            if given is None:
                break
            try:
                await answer(self._client, question.id, given.action, given.sent(question.form))
            except ServerUnreachable as fault:
                terminal.tell(printable(fault.message), "red")
                given, refused = None, ()
            except RequestRefused as fault:
                terminal.tell(printable(fault.message), "red")
                refused = tuple(path[2] for path, _ in fault.told if path[:2] == _VALUES and len(path) > len(_VALUES))
                if fault.code == "CONFLICT":
                    self._heard.pop(question.id, None)
                if not any(path[:2] == _VALUES for path, _ in fault.told):
                    break
            else:
                self._heard.pop(question.id, None)
        if question.id in self._heard:
            terminal.tell(f"The question stays open: {_command(question)}", "dim")

    async def _prompted(
        self, question: Question, terminal: Terminal, given: Given | None, refused: tuple[str, ...]
    ) -> Given | None:
        """Return the answer that is typed; None where none is, or where it is not wanted any more."""
        self._asked = question
        self._prompt = asyncio.create_task(_typed(question, terminal, given, refused), name="read an answer")
        try:
            await asyncio.wait([self._prompt])
            return None if self._prompt.cancelled() else self._prompt.result()
        except asyncio.CancelledError:
            terminal.tell("")  # what comes next stands on a line of its own
            raise
        finally:
            self._asked = None
            self._prompt.cancel()
            await asyncio.wait([self._prompt])

    def _withdraw(self, event: Event) -> None:
        """End the prompt of a question that somebody else answered, or that ran out."""
        if self._prompt is None or self._terminal is None or self._begin is None or self._prompt.done():
            return
        self._prompt.cancel()
        self._terminal.tell("")
        self._terminal.tell(
            f"No answer is needed any more: {describe(event, self._begin.created_at).strip()}", "yellow"
        )


async def _typed(question: Question, terminal: Terminal, given: Given | None, refused: tuple[str, ...]) -> Given | None:
    try:
        if given is None:
            action = await ask_action(question, terminal)
            if action is None:
                return None
            given = Given(action)
        await ask_values(question, terminal, given, refused)
    except InputEnded:
        terminal.tell("")
        return None
    return given


def _is_end_of(event: Event, question: Question) -> bool:
    if isinstance(event, RunEnded):
        return True
    if not isinstance(event, NodeEvent) or event.type not in _ENDS or event.node_key != question.node_key:
        return False
    # The end of the node as a whole ends what its items ask.
    return event.item_index == question.item_index or (event.item_index is None and event.type != "ApprovalAnswered")


def _tell(question: Question, screen: Screen) -> None:
    """Say what is asked and how it is answered."""
    screen.say(f"? {printable(question.title)}", "bold yellow")
    for line in printable(question.message or "").splitlines():
        screen.say(f"  {line}", "default")
    if question.assignees:
        screen.say(f"  Asked of {', '.join(map(printable, question.assignees))}.", "default")
    screen.say(f"  Answer with: {_command(question)}", "default")


def _command(question: Question) -> str:
    """Return the command that answers a question."""
    actions = "|".join(printable(action) for action in question.actions)
    named = [one for one in fields_of(question.form) if one.name is not None and not one.is_answered_without]
    values = [f"--value {shlex.quote(f'{printable(str(one.name))}=…')}" for one in named]
    return " ".join(["anabranch approve", question.id, actions, *values])
