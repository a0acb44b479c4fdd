from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.identity import Role
from domain.ids import Prefix, RunId, from_global, to_global
from tests.gql.test_approvals import START, answered, asked
from tests.support.identity import make_principal
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

CREATE = "mutation ($input: CreateWorkflowInput!) {createWorkflow(input: $input) {workflow {id} userErrors {message}}}"
STEER = """mutation ($id: ID!) {%s(input: {id: $id}) {run {id status} userErrors {__typename code message path}}}"""
RUN = """query ($id: ID!) {run(id: $id) {status events(first: 100) {nodes {
  __typename ... on RunPaused {by {name}} ... on RunResumed {by {name}}
}} approvals(first: 1) {nodes {id}} workflow {id}}}"""


async def steer(api: Api, by: Principal, verb: str, run: str) -> Any:
    answer = await api.run(STEER % verb, {"id": run}, caller=by)
    assert answer.errors == []
    return answer.data[verb]


async def shown(api: Api, by: Principal, run: str) -> Any:
    answer = await api.run(RUN, {"id": run}, caller=by)
    assert answer.errors == []
    return answer.data["run"]


async def has_status(api: Api, by: Principal, run: str, status: str) -> None:
    async def has() -> bool:
        return (await shown(api, by, run))["status"] == status

    await until(has)


async def asking(api: Api, by: Principal) -> tuple[str, str]:
    """Start a run that asks a question, and return both ids."""
    approval = await asked(api, by)
    found = await api.run("query ($id: ID!) {approval(id: $id) {run {id}}}", {"id": approval}, caller=by)
    return found.data["approval"]["run"]["id"], approval


async def test_a_run_is_paused_and_goes_on_and_its_log_tells_who_did(api: Api, ada: Principal) -> None:
    run, approval = await asking(api, ada)
    payload = await steer(api, ada, "pauseRun", run)
    assert payload == {"run": {"id": run, "status": "PAUSED"}, "userErrors": []}
    listed = await api.run("{runs(filter: {statuses: [PAUSED]}) {totalCount nodes {id status}}}", caller=ada)
    assert listed.data["runs"] == {"totalCount": 1, "nodes": [{"id": run, "status": "PAUSED"}]}
    assert (await answered(api, ada, approval))["userErrors"] == []

    async def has_ended() -> bool:
        return (await shown(api, ada, run))["status"] == "SUCCEEDED"

    await until(has_ended)
    assert (await steer(api, ada, "resumeRun", run))["userErrors"] == [
        {
            "__typename": "ConflictError",
            "code": "CONFLICT",
            "message": "The run has ended already (SUCCEEDED).",
            "path": ["input", "id"],
        }
    ]
    events = (await shown(api, ada, run))["events"]["nodes"]
    assert {"__typename": "RunPaused", "by": {"name": "ada"}} in events


async def test_an_approval_that_is_answered_during_a_pause_is_recorded_at_once_and_acted_on_later(
    api: Api, ada: Principal
) -> None:
    graph = {
        "nodes": [
            {"key": "ask", "config": {"approval": {"title": "Well?"}}},
            {"key": "then", "config": {"transform": {"fields": [{"name": "done", "value": "yes"}]}}},
        ],
        "edges": [{"source": "ask", "sourcePort": "approve", "target": "then"}],
    }
    made = await api.run(CREATE, {"input": {"name": "Ask", "graph": graph}}, caller=ada)
    started = await api.run(START, {"id": made.data["createWorkflow"]["workflow"]["id"]}, caller=ada)
    run = started.data["startRun"]["run"]["id"]
    await until(lambda: _asks(api, ada, run))
    await steer(api, ada, "pauseRun", run)
    await has_status(api, ada, run, "PAUSED")
    (question,) = (await shown(api, ada, run))["approvals"]["nodes"]
    assert (await answered(api, ada, question["id"]))["approval"]["status"] == "ANSWERED"

    async def is_recorded() -> bool:
        return {"__typename": "NodeSucceeded"} in (await shown(api, ada, run))["events"]["nodes"]

    await until(is_recorded)
    held = await shown(api, ada, run)
    assert held["status"] == "PAUSED"
    assert [event["__typename"] for event in held["events"]["nodes"]][-3:] == [
        "RunPaused",
        "ApprovalAnswered",
        "NodeSucceeded",
    ]
    assert (await steer(api, ada, "resumeRun", run))["userErrors"] == []
    await has_status(api, ada, run, "SUCCEEDED")
    events = (await shown(api, ada, run))["events"]["nodes"]
    assert [event["__typename"] for event in events][-4:] == [
        "RunResumed",
        "NodeStarted",
        "NodeSucceeded",
        "RunSucceeded",
    ]
    assert events[-4]["by"] == {"name": "ada"}


async def _asks(api: Api, by: Principal, run: str) -> bool:
    return bool((await shown(api, by, run))["approvals"]["nodes"])


async def test_a_second_pause_and_a_resumption_of_what_is_not_paused_are_refused(api: Api, ada: Principal) -> None:
    run, _ = await asking(api, ada)
    refused = (await steer(api, ada, "resumeRun", run))["userErrors"]
    assert [(one["code"], one["path"]) for one in refused] == [("CONFLICT", ["input", "id"])]
    assert refused[0]["message"].startswith("The run is not paused (")
    await steer(api, ada, "pauseRun", run)
    (again,) = (await steer(api, ada, "pauseRun", run))["userErrors"]
    assert again["message"] == "The run is paused already; `resumeRun` lets it go on."
    await has_status(api, ada, run, "PAUSED")
    events = [event["__typename"] for event in (await shown(api, ada, run))["events"]["nodes"]]
    assert events.count("RunPaused") == 1
    assert "RunResumed" not in events


async def test_the_payload_shows_the_run_as_it_is_after_what_was_asked(api: Api, ada: Principal) -> None:
    run, _ = await asking(api, ada)
    for verb, statuses in (
        ("pauseRun", {"PAUSED"}),
        ("resumeRun", {"RUNNING", "WAITING"}),
        ("cancelRun", {"CANCELING", "CANCELED"}),
    ):
        payload = await steer(api, ada, verb, run)
        assert payload["userErrors"] == []
        assert payload["run"]["status"] in statuses


@pytest.mark.parametrize("verb", ["pauseRun", "resumeRun"])
async def test_a_viewer_may_not_steer_and_another_tenant_sees_no_run(
    api: Api, ada: Principal, database: Database, verb: str
) -> None:
    run, _ = await asking(api, ada)
    viewer = replace(ada, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    stranger = await make_principal(database, "eve")
    (refused,) = (await steer(api, viewer, verb, run))["userErrors"]
    assert (refused["__typename"], refused["code"]) == ("ForbiddenError", "FORBIDDEN")
    (unknown,) = (await steer(api, stranger, verb, run))["userErrors"]
    assert (unknown["__typename"], unknown["path"]) == ("NotFoundError", ["input", "id"])
    logged = await sole(api.services.runs.count_events([RunId(from_global(Prefix.RUN, run))]))
    events = [event["__typename"] for event in (await shown(api, ada, run))["events"]["nodes"]]
    assert len(events) == logged
    assert not {"RunPaused", "RunResumed"} & set(events)


CANCEL = """mutation ($filter: RunFilter!, $workspace: ID, $reason: String) {
  cancelRuns(input: {filter: $filter, workspaceId: $workspace, reason: $reason}) {
    canceledCount hasMore userErrors {__typename code message path}
  }
}"""


async def cancel(api: Api, by: Principal, **variables: object) -> Any:
    answer = await api.run(CANCEL, {"filter": {}, **variables}, caller=by)
    assert answer.errors == []
    return answer.data["cancelRuns"]


async def test_all_runs_that_match_are_stopped_and_their_logs_tell_why(api: Api, ada: Principal) -> None:
    first, second = (await asking(api, ada))[0], (await asking(api, ada))[0]
    workflow = (await shown(api, ada, first))["workflow"]["id"]
    payload = await cancel(api, ada, filter={"workflowIds": [workflow]}, reason="Wrong question")
    assert payload == {"canceledCount": 1, "hasMore": False, "userErrors": []}
    await has_status(api, ada, first, "CANCELED")
    assert (await shown(api, ada, second))["status"] in {"RUNNING", "WAITING"}
    log = (
        "query ($id: ID!) {run(id: $id) {events(last: 3) {nodes {... on RunCancelRequested {cancelReason by {name}}}}}}"
    )
    told = (await api.run(log, {"id": first}, caller=ada)).data["run"]["events"]["nodes"]
    assert {"cancelReason": "Wrong question", "by": {"name": "ada"}} in told
    assert (await cancel(api, ada, filter={"statuses": ["RUNNING", "WAITING"]}))["canceledCount"] == 1
    await has_status(api, ada, second, "CANCELED")


async def test_a_paused_run_is_stopped_with_the_others(api: Api, ada: Principal) -> None:
    run, _ = await asking(api, ada)
    await steer(api, ada, "pauseRun", run)
    await has_status(api, ada, run, "PAUSED")
    assert (await cancel(api, ada, filter={"statuses": ["PAUSED"]}))["canceledCount"] == 1
    await has_status(api, ada, run, "CANCELED")


async def test_nobody_stops_the_runs_of_others_or_with_the_role_viewer(
    api: Api, ada: Principal, database: Database
) -> None:
    run, _ = await asking(api, ada)
    stranger = await make_principal(database, "eve")
    assert (await cancel(api, stranger))["canceledCount"] == 0
    workflow = (await shown(api, ada, run))["workflow"]["id"]
    assert (await cancel(api, stranger, filter={"workflowIds": [workflow]}))["canceledCount"] == 0
    (workspace,) = ada.roles
    (unknown,) = (await cancel(api, stranger, workspace=to_global(Prefix.WORKSPACE, workspace)))["userErrors"]
    assert (unknown["__typename"], unknown["code"]) == ("NotFoundError", "NOT_FOUND")
    viewer = replace(ada, roles=dict.fromkeys(ada.roles, Role.VIEWER))
    (refused,) = (await cancel(api, viewer))["userErrors"]
    assert (refused["__typename"], refused["code"]) == ("ForbiddenError", "FORBIDDEN")
    assert (await shown(api, ada, run))["status"] in {"RUNNING", "WAITING"}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"filter": {"labels": [{"name": "n", "value": "v"}] * 11}}, ["input", "filter", "labels"]),
        ({"filter": {"errorCodes": ["x"] * 101}}, ["input", "filter", "errorCodes"]),
        ({"filter": {"concurrencyKey": "x" * 257}}, ["input", "filter", "concurrencyKey"]),
        ({"filter": {"workflowIds": []}}, ["input", "filter", "workflowIds"]),
        ({"filter": {"statuses": []}}, ["input", "filter", "statuses"]),
        ({"filter": {"triggers": []}}, ["input", "filter", "triggers"]),
        ({"filter": {"labels": [], "statuses": ["WAITING"]}}, ["input", "filter", "labels"]),
        ({"filter": {"errorCodes": []}}, ["input", "filter", "errorCodes"]),
        ({"reason": "x" * 1_001}, ["input", "reason"]),
    ],
)
async def test_what_cannot_be_asked_for_is_told_with_its_place_and_nothing_is_stopped(
    api: Api, ada: Principal, given: dict[str, object], path: list[str]
) -> None:
    run, _ = await asking(api, ada)
    payload = await cancel(api, ada, **given)
    assert payload["canceledCount"] is None
    assert [error["path"] for error in payload["userErrors"]] == [path]
    assert (await shown(api, ada, run))["status"] in {"RUNNING", "WAITING"}
