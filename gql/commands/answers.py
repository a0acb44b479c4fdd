"""`approve`: answering a question of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gql.asking.fields import fields_of, plain
from gql.client.faults import ClientFault
from gql.client.questions import answer, form_of, open_questions
from gql.commands.target import open_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.json_value import Json
    from gql.client.questions import Question
    from gql.client.session import ApiClient
    from gql.commands.target import Target

_RUN = "run_"


async def approve(target: Target, named: str, action: str, pairs: Sequence[str]) -> str:
    """Do what `anabranch approve` says, and return what was answered.

    Raises:
        ClientFault: the run asks several questions, or a value is not of the form name=value.
        RequestRefused: there is no such question, or it does not take this answer.
    """
    given = _split(pairs)
    async with open_client(target) as client:
        if named.startswith(_RUN):
            asked = await question_of(client, named)
            return await answer(client, asked.id, action, _values(given, asked.form))
        form = await form_of(client, named) if given else None
        return await answer(client, named, action, _values(given, form))


async def question_of(client: ApiClient, run_id: str) -> Question:
    """Return the one open question of a run.

    Raises:
        ClientFault: it asks nothing, or several questions.
        RequestRefused: there is no such run.
    """
    asked = await open_questions(client, run_id)
    if not asked:
        raise ClientFault(f"The run {run_id} asks nothing now.")
    first, *others = asked
    if others:
        listed = "\n  ".join(f"{one.id}  {one.node_key}: {one.title}" for one in asked)
        raise ClientFault(f"The run asks {len(asked)} questions; name one of them:\n  {listed}")
    return first


def _split(pairs: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not name or not separator:
            raise ClientFault(f"--value {pair!r} is not of the form name=value.")
        given[name] = text
    return given


def _values(given: Mapping[str, str], form: Any) -> Json:
    """Return the values: texts where the form wants texts, else JSON where it is JSON; None without any."""
    fields = {field.name: field for field in fields_of(form)}
    values: dict[str, Json] = {
        name: fields[name].meant(text) if name in fields else plain(text) for name, text in given.items()
    }
    return values or None
