from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.approvals import ApprovalStatus
from domain.events import ApprovalRequested
from domain.identity import Role
from domain.ids import Prefix, RunId, from_global, to_global
from tests.support.query_count import counting

if TYPE_CHECKING:
    from domain.identity import Principal
    from tests.support.api import Api

CREATE = "mutation ($input: CreateWorkflowInput!) {createWorkflow(input: $input) {workflow {id} userErrors {message}}}"
START = "mutation ($id: ID!) {startRun(input: {workflowId: $id}) {run {id} userErrors {message}}}"
ANSWER = """mutation ($id: ID!, $action: String!, $values: JSON) {
  answerApproval(input: {approvalId: $id, action: $action, values: $values}) {
    run {id} approval {status action values answeredBy {name} isAnswerable}
    userErrors {__typename code message path ... on ConflictError {changedBy {name}}}
  }
}"""
INBOX = """query ($filter: ApprovalFilter, $first: Int, $after: String) {
  viewer {workspaces {nodes {approvals(filter: $filter, first: $first, after: $after) {
    totalCount pageInfo {hasNextPage endCursor} nodes {id title status isAnswerable run {id}}
  }}}}
}"""
OF_RUNS = "{runs(first: 100) {nodes {approvals(first: 5) {totalCount nodes {title status}}}}}"
FORM = {"type": "object", "required": ["score"], "properties": {"score": {"type": "integer"}}}


async def asked(api: Api, by: Principal, **config: Any) -> str:
    """Start a run that asks, and return the question's id."""
    graph = {"nodes": [{"key": "ask", "config": {"approval": {"title": "Well?", **config}}}], "edges": []}
    made = await api.run(CREATE, {"input": {"name": "Ask", "graph": graph}}, caller=by)
    assert made.data["createWorkflow"]["userErrors"] == []
    started = await api.run(START, {"id": made.data["createWorkflow"]["workflow"]["id"]}, caller=by)
    run_id = RunId(from_global(Prefix.RUN, started.data["startRun"]["run"]["id"]))
    async for logged in api.services.runs.follow(by, run_id, None):
        if isinstance(logged.event, ApprovalRequested):
            return to_global(Prefix.APPROVAL, logged.event.approval)
    raise AssertionError


async def answered(api: Api, by: Principal, approval: str, action: str = "approve", values: object = None) -> Any:
    answer = await api.run(ANSWER, {"id": approval, "action": action, "values": values}, caller=by)
    assert answer.errors == []
    return answer.data["answerApproval"]


async def status_of(api: Api, by: Principal, approval: str) -> str:
    return (await api.run("query ($id: ID!) {approval(id: $id) {status}}", {"id": approval}, caller=by)).data[
        "approval"
    ]["status"]


async def inbox(api: Api, by: Principal, **variables: Any) -> Any:
    answer = await api.run(INBOX, variables, caller=by)
    assert answer.errors == []
    return answer.data["viewer"]["workspaces"]["nodes"][0]["approvals"]


async def test_an_answer_is_shown_with_its_author_and_the_second_one_is_told_who_was_first(
    api: Api, ada: Principal
) -> None:
    approval = await asked(api, ada, form=FORM)
    payload = await answered(api, ada, approval, "reject", {"score": 3})
    assert payload["approval"] == {
        "status": "ANSWERED",
        "action": "reject",
        "values": {"score": 3},
        "answeredBy": {"name": "ada"},
        "isAnswerable": False,
    }
    assert payload["run"]["id"].startswith("run_")
    again = await answered(api, ada, approval, "approve", {"score": 1})
    assert again["approval"] is None
    assert again["userErrors"] == [
        {
            "__typename": "ConflictError",
            "code": "CONFLICT",
            "message": "The question was answered already, with 'reject'.",
            "path": ["input", "approvalId"],
            "changedBy": {"name": "ada"},
        }
    ]


async def test_of_two_answers_at_once_one_succeeds(api: Api, ada: Principal) -> None:
    approval = await asked(api, ada)
    payloads = await asyncio.gather(*(answered(api, ada, approval, action) for action in ["approve", "reject"] * 5))
    won = [payload for payload in payloads if payload["approval"]]
    lost = [payload["userErrors"][0]["__typename"] for payload in payloads if not payload["approval"]]
    assert (len(won), lost) == (1, ["ConflictError"] * 9)


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        (
            ("maybe", {"score": 1}),
            ["input", "action"],
            "The question has no action 'maybe'; it offers: approve, reject.",
        ),
        (("approve", None), ["input", "values", "score"], "it is required and missing"),
        (("approve", {"score": "3"}), ["input", "values", "score"], "is not of type"),
        (("approve", {"note": ""}), ["input", "values", "score"], "it is required and missing"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_with_its_place_and_the_question_stays_open(
    api: Api, ada: Principal, given: tuple[str, object], path: list[str], message: str
) -> None:
    approval = await asked(api, ada, form=FORM)
    (error,) = (await answered(api, ada, approval, *given))["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", path)
    assert message in error["message"]
    assert await status_of(api, ada, approval) == "OPEN"
    assert (await answered(api, ada, approval, "approve", {"score": 1}))["userErrors"] == []


async def test_a_question_without_a_form_takes_no_values(api: Api, ada: Principal) -> None:
    (error,) = (await answered(api, ada, await asked(api, ada), "approve", {"a": 1}))["userErrors"]
    assert error["path"] == ["input", "values"]


async def test_only_those_who_are_asked_may_answer(api: Api, ada: Principal) -> None:
    approval = await asked(api, ada, assignees=["Grace@Example.com"])
    (error,) = (await answered(api, ada, approval))["userErrors"]
    assert error["code"] == "FORBIDDEN"
    assert await status_of(api, ada, approval) == "OPEN"
    grace = replace(ada, user=replace(ada.user, email="grace@example.com"))
    assert (await answered(api, grace, approval))["userErrors"] == []


async def test_who_may_only_read_sees_a_question_and_may_not_answer_it(api: Api, ada: Principal) -> None:
    approval = await asked(api, ada)
    viewer = replace(ada, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    (error,) = (await answered(api, viewer, approval))["userErrors"]
    assert error["code"] == "FORBIDDEN"
    (node,) = (await inbox(api, viewer))["nodes"]
    assert (node["status"], node["isAnswerable"]) == ("OPEN", False)
    assert (await inbox(api, viewer, filter={"isAnswerable": True}))["nodes"] == []
    assert len((await inbox(api, viewer, filter={"isAnswerable": False}))["nodes"]) == 1


async def test_the_inbox_has_open_questions_first_by_pages_and_by_what_is_asked(api: Api, ada: Principal) -> None:
    ids = [await asked(api, ada, title=f"Number {n}") for n in range(4)]
    mine = await asked(api, ada, assignees=["grace@example.com"])
    await answered(api, ada, ids[3])
    await answered(api, ada, ids[0])
    whole = await inbox(api, ada, first=3)
    assert [node["id"] for node in whole["nodes"]] == [mine, ids[2], ids[1]]
    assert (whole["totalCount"], whole["pageInfo"]["hasNextPage"]) == (5, True)
    rest = await inbox(api, ada, first=3, after=whole["pageInfo"]["endCursor"])
    assert [node["id"] for node in rest["nodes"]] == [ids[3], ids[0]]
    answerable = await inbox(api, ada, filter={"statuses": ["OPEN"], "isAnswerable": True})
    assert [node["id"] for node in answerable["nodes"]] == [ids[2], ids[1]]
    assert all(node["isAnswerable"] for node in answerable["nodes"])
    repeated = await inbox(api, ada, filter={"statuses": ["ANSWERED"] * 33_000})  # more than the driver has places for
    assert repeated["totalCount"] == 2
    done = await inbox(api, ada, filter={"statuses": [ApprovalStatus.ANSWERED.value]})
    assert (done["totalCount"], [node["id"] for node in done["nodes"]]) == (2, [ids[3], ids[0]])


async def test_the_questions_of_many_runs_take_as_many_statements_as_those_of_one(api: Api, ada: Principal) -> None:
    counts: list[int] = []
    for number in range(3):
        await asked(api, ada)
        with counting() as statements:
            answer = await api.run(OF_RUNS, caller=ada)
        runs = answer.data["runs"]["nodes"]
        assert [run["approvals"]["totalCount"] for run in runs] == [1] * (number + 1)
        counts.append(statements.count)
    assert counts[0] == counts[-1]


async def test_what_a_node_waits_for_leads_to_the_question(api: Api, ada: Principal) -> None:
    approval = await asked(api, ada)
    document = """query ($id: ID!) {approval(id: $id) {run {
      snapshot {nodes {key status waiting {reason until approval {id isAnswerable expiresAt}}}}
      events(first: 20) {nodes {__typename ... on ApprovalRequested {approval {id}}}}
    }}}"""
    told = (await api.run(document, {"id": approval}, caller=ada)).data["approval"]["run"]
    (node,) = told["snapshot"]["nodes"]
    assert (node["status"], node["waiting"]["reason"]) == ("WAITING", "APPROVAL")
    assert node["waiting"]["approval"] == {
        "id": approval,
        "isAnswerable": True,
        "expiresAt": node["waiting"]["until"],
    }
    assert {"__typename": "ApprovalRequested", "approval": {"id": approval}} in told["events"]["nodes"]
