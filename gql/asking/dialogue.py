"""Asking one question at a terminal: what there is to know, which answer, and the values of its form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gql.asking.fields import Field, NotTaken, fields_of
from gql.live_tree import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.json_value import Json
    from gql.asking.terminal import Terminal
    from gql.client.questions import Question


@dataclass(slots=True)
class Given:
    """An answer in the making: it is kept while what the server refused is asked again."""

    action: str
    values: dict[str, Json] = field(default_factory=dict[str, "Json"])
    whole: Json = None
    """The value of a form that has no fields."""

    def sent(self, form: object) -> Json:
        """Return the values as the API takes them: None where there is no form."""
        if form is None:
            return None
        return self.whole if self.whole is not None else self.values


async def ask_action(question: Question, terminal: Terminal) -> str | None:
    """Show a question and ask which answer is given; None = none now.

    Raises:
        InputEnded: the input was closed.
    """
    terminal.forget_typed()
    where = question.node_key if question.item_index is None else f"{question.node_key}, item {question.item_index}"
    terminal.tell(f"{printable(where)} asks: {printable(question.title)}", "bold yellow")
    if question.message:
        terminal.tell(printable(question.message))
    if question.expires_at is not None:
        terminal.tell(f"It may be answered until {question.expires_at:%Y-%m-%d %H:%M:%S} UTC.", "dim")
    offered = " / ".join(printable(action) for action in question.actions)
    while True:
        line = await terminal.ask(f"Answer ({offered}; empty = later):")
        if not line:
            return None
        meant = _action(line, question.actions)
        if meant is not None:
            return meant
        terminal.tell(f"There is no answer {line!r}.", "red")


async def ask_values(question: Question, terminal: Terminal, given: Given, refused: Sequence[str] = ()) -> None:
    """Ask for the fields of the form, or only for those that were refused.

    Raises:
        InputEnded: the input was closed.
    """
    for one in fields_of(question.form):
        if refused and one.name is not None and one.name not in refused:
            continue
        is_given, value = await _ask_value(one, terminal)
        if one.name is None:
            given.whole = value
        elif is_given:
            given.values[one.name] = value
        else:
            given.values.pop(one.name, None)


async def _ask_value(one: Field, terminal: Terminal) -> tuple[bool, Json]:
    if one.description:
        terminal.tell(f"  {printable(one.description)}", "dim")
    while True:
        try:
            return one.read(await terminal.ask(f"  {printable(one.prompt)}"))
        except NotTaken as fault:
            terminal.tell(f"  {printable(str(fault))}", "red")


def _action(line: str, actions: Sequence[str]) -> str | None:
    """Return the action that is meant: its name, or a beginning that only one has."""
    if line in actions:
        return line
    begun = [action for action in actions if action.lower().startswith(line.lower())]
    return begun[0] if len(begun) == 1 else None
