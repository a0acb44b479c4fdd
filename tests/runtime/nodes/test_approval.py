from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import NodeFault
from domain.suspensions import Answered, Question
from domain.validation import ANY_NAMES, check, ports_of
from domain.workflow import Definition, GraphNode
from runtime.nodes.approval import KIND, ApprovalConfig, ApprovalOutput, resume, run
from runtime.registry import Registry
from tests.support.node_context import RecordingContext

AT = datetime(2026, 12, 24, 18, tzinfo=UTC)


async def question(config: ApprovalConfig) -> Question:
    result = await run(config, RecordingContext())
    assert isinstance(result.suspension, Question)
    return result.suspension


async def test_a_question_is_one_line_with_three_days_for_its_answer() -> None:
    before = datetime.now(UTC)
    asked = await question(ApprovalConfig(title=" Is it\n good? ", message="# Look"))
    assert (asked.title, asked.message, asked.form) == ("Is it good?", "# Look", None)
    assert (asked.actions, asked.assignees) == (("approve", "reject"), ())
    assert before <= asked.until - timedelta(days=3) <= datetime.now(UTC)


async def test_addresses_are_compared_as_accounts_have_them() -> None:
    asked = await question(
        ApprovalConfig(title="?", assignees=[" Ada@Example.COM", "ada@example.com", "b@example.com"])
    )
    assert asked.assignees == ("ada@example.com", "b@example.com")


async def test_a_form_that_is_no_schema_fails_with_its_code() -> None:
    with pytest.raises(NodeFault) as caught:
        await run(ApprovalConfig(title="?", form={"type": "nothing"}), RecordingContext())
    assert caught.value.code == "INVALID_FORM"


@pytest.mark.parametrize("rendered", ["", "Ada", "a@example.com, b@example.com", "null"])
async def test_a_template_that_gives_no_address_fails_instead_of_asking_nobody(rendered: str) -> None:
    with pytest.raises(NodeFault, match="which is no e-mail address") as caught:
        await run(ApprovalConfig(title="?", assignees=["a@example.com", rendered]), RecordingContext())
    assert (caught.value.code, caught.value.is_retryable) == ("INVALID_ASSIGNEE", False)


def test_the_action_is_the_port_and_so_is_that_nobody_answered() -> None:
    given = resume(Answered("reject", {"note": "no"}, "ada@example.com", AT))
    assert given.ports == ("reject",)
    assert given.output == ApprovalOutput(
        action="reject", values={"note": "no"}, by="ada@example.com", at="2026-12-24T18:00:00.000Z"
    )
    late = resume(Answered(None, None, None, AT))
    assert late.ports == ("timeout",)
    assert late.output == ApprovalOutput(action="timeout", values=None, by=None, at="2026-12-24T18:00:00.000Z")


def test_the_ports_are_the_actions_and_the_timeout() -> None:
    node = GraphNode(key="ask", config={"approval": {"title": "?", "actions": ["yes", "no"]}})
    assert ports_of(node, KIND) == ("yes", "no", "timeout")
    assert ports_of(GraphNode(key="ask", config={"approval": {"title": "?"}}), KIND) == ("approve", "reject", "timeout")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "?", "actions": ["yes"]}, "actions"),
        ({"title": "?", "actions": ["yes", "yes"]}, "approval"),
        ({"title": "?", "actions": ["yes", "timeout"]}, "approval"),
        ({"title": "?", "actions": ["yes", "no way"]}, "1"),
        ({"title": "?", "timeoutMs": 0}, "timeoutMs"),
        ({"title": "?", "form": {"type": "nothing"}}, "form"),
        ({"title": "?", "assignees": ["ada@example.com", "{{ input.boss }}", "ada"]}, "2"),
    ],
)
def test_a_question_that_cannot_be_asked_is_a_problem(config: dict[str, object], field: str) -> None:
    definition = Definition.model_validate({"graph": {"nodes": [{"key": "a", "config": {"approval": config}}]}})
    problems = [problem for problem in check(definition, Registry().names, ANY_NAMES) if problem.is_error]
    assert [problem.path[-1] for problem in problems] == [field]
