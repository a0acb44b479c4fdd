"""Questions that a run asks people: reading them, and answering."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from gql.client import operations
from gql.client.events import Told
from gql.client.faults import ClientFault, RequestRefused

if TYPE_CHECKING:
    from domain.json_value import Json
    from gql.client.session import ApiClient


class Question(Told):
    """A question of a run; `form` is the JSON Schema of the values to fill in, None where there are none."""

    id: str
    node_key: str
    item_index: int | None = None
    title: str
    message: str | None = None
    form: Any = None
    actions: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    is_answerable: bool = False
    status: str
    expires_at: datetime | None = None


_QUESTIONS = TypeAdapter(tuple[Question, ...])


async def open_questions(client: ApiClient, run_id: str) -> tuple[Question, ...]:
    """Return what a run asks now.

    Raises:
        RequestRefused: there is no such run.
    """
    run: dict[str, Any] | None = (await client.execute(operations.OPEN_QUESTIONS, {"id": run_id})).get("run")
    if run is None:
        raise RequestRefused(f"There is no run {run_id}.", "NOT_FOUND")
    try:
        asked = _QUESTIONS.validate_python(run["approvals"]["nodes"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ClientFault("The server told of the run's questions in an unknown shape.") from error
    return tuple(question for question in asked if question.status == "OPEN")


async def form_of(client: ApiClient, approval_id: str) -> Any:
    """Return the form of a question; None where it has none, or where there is no such question."""
    found: dict[str, Any] | None = (await client.execute(operations.FORM, {"id": approval_id})).get("approval")
    return None if found is None else found.get("form")


async def answer(client: ApiClient, approval_id: str, action: str, values: Json) -> str:
    """Answer a question and return its title.

    Raises:
        RequestRefused: there is no such question, or it does not take this answer.
    """
    variables: dict[str, Json] = {"id": approval_id, "action": action, "values": values}
    payload = await client.mutate(operations.ANSWER_APPROVAL, variables)
    approval: dict[str, Any] = payload.get("approval") or {}
    return str(approval.get("title"))
