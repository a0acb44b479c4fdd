from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from domain.identity import Scope
from domain.ids import Prefix, RunId, from_global
from gql.context import Context
from tests.gql.test_steering import asking
from tests.gql.test_sub_runs import calls, created
from tests.support.identity import make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

STEP = {"key": "a", "config": {"transform": {"fields": [{"name": "n", "value": "1"}]}}}
DELETE = """mutation ($id: ID!) {deleteRun(input: {id: $id}) {
  deletedRunId userErrors {__typename code message path}
}}"""
START = "mutation ($i: StartRunInput!) {startRun(input: $i) {isExisting run {id} userErrors {message}}}"
ENTRIES = """{viewer {workspaces {nodes {auditEntries(filter: {actions: [RUN_DELETED]}) {
  nodes {action targetId targetName actor {name} apiKey {name}}
}}}}}"""
PAGE = "query ($after: String) {runs(first: 2, after: $after) {totalCount nodes {id} pageInfo {endCursor hasNextPage}}}"


def one_of(found: list[Any]) -> Any:
    """Return the only one."""
    (found_one,) = found
    return found_one


async def deleted(api: Api, by: Principal, run: str) -> Any:
    answer = await api.run(DELETE, {"id": run}, caller=by)
    assert answer.errors == []
    return answer.data["deleteRun"]


async def ran(api: Api, by: Principal, workflow: str, **more: object) -> str:
    """Start a run and wait for its end."""
    answer = await api.run(START, {"i": {"workflowId": workflow, **more}}, caller=by)
    assert answer.data["startRun"]["userErrors"] == []
    run: str = answer.data["startRun"]["run"]["id"]
    async for _ in api.services.runs.follow(by, RunId(from_global(Prefix.RUN, run)), None):
        pass
    return run


async def entries(api: Api, by: Principal) -> list[Any]:
    answer = await api.run(ENTRIES, caller=by)
    return one_of(answer.data["viewer"]["workspaces"]["nodes"])["auditEntries"]["nodes"]


async def test_a_deleted_run_is_nowhere_and_the_audit_log_has_it(api: Api, ada: Principal) -> None:
    workflow = await created(api, ada, "flow", STEP)
    first, second = await ran(api, ada, workflow), await ran(api, ada, workflow)
    assert await deleted(api, ada, second) == {"deletedRunId": second, "userErrors": []}
    asked = await api.run(
        """query ($id: ID!, $w: ID!) {
          run(id: $id) {id} node(id: $id) {id} nodes(ids: [$id]) {id}
          workflow(id: $w) {latestRun {id} runs {totalCount nodes {id}}}
        }""",
        {"id": second, "w": workflow},
        caller=ada,
    )
    assert (asked.data["run"], asked.data["node"], asked.data["nodes"]) == (None, None, [None])
    assert asked.data["workflow"] == {"latestRun": {"id": first}, "runs": {"totalCount": 1, "nodes": [{"id": first}]}}
    assert await entries(api, ada) == [
        {"action": "RUN_DELETED", "targetId": second, "targetName": "flow", "actor": {"name": "ada"}, "apiKey": None}
    ]
    again = await deleted(api, ada, second)
    assert (again["deletedRunId"], again["userErrors"][0]["code"]) == (None, "NOT_FOUND")
    follow = 'subscription {runEvents(runId: "%s") {seq}}' % second  # noqa: UP031 -- braces
    told = await api.first(follow, caller=ada, timeout_s=5)
    assert told is not None
    assert told.codes == ["NOT_FOUND"]


async def test_pages_go_on_behind_a_run_that_is_gone(api: Api, ada: Principal) -> None:
    workflow = await created(api, ada, "flow", STEP)
    runs = [await ran(api, ada, workflow) for _ in range(5)][::-1]
    page = (await api.run(PAGE, caller=ada)).data["runs"]
    assert [run["id"] for run in page["nodes"]] == runs[:2]
    for gone in (runs[1], runs[2]):
        assert (await deleted(api, ada, gone))["userErrors"] == []
    page = (await api.run(PAGE, {"after": page["pageInfo"]["endCursor"]}, caller=ada)).data["runs"]
    assert page["totalCount"] == 3
    assert [run["id"] for run in page["nodes"]] == runs[3:]
    assert not page["pageInfo"]["hasNextPage"]


async def test_a_run_that_has_not_ended_is_not_deleted(api: Api, ada: Principal) -> None:
    run, _ = await asking(api, ada)
    error = one_of((await deleted(api, ada, run))["userErrors"])
    assert (error["__typename"], error["code"], error["path"]) == ("ConflictError", "CONFLICT", ["input", "id"])
    assert "has not ended" in error["message"]
    shown = await api.run("query ($id: ID!) {run(id: $id) {isFinished}}", {"id": run}, caller=ada)
    assert shown.data == {"run": {"isFinished": False}}
    assert await entries(api, ada) == []


async def test_a_called_run_goes_with_the_one_that_called_it_and_not_before(api: Api, ada: Principal) -> None:
    await created(api, ada, "leaf", STEP)
    run = await ran(api, ada, await created(api, ada, "root", calls("leaf")))
    asked = await api.run("query ($id: ID!) {run(id: $id) {subRuns {nodes {id}}}}", {"id": run}, caller=ada)
    called = one_of(asked.data["run"]["subRuns"]["nodes"])["id"]
    error = one_of((await deleted(api, ada, called))["userErrors"])
    assert (error["code"], error["path"]) == ("IN_USE", ["input", "id"])
    assert run in error["message"]
    assert (await deleted(api, ada, run))["userErrors"] == []
    assert (await api.run("{runs {totalCount}}", caller=ada)).data == {"runs": {"totalCount": 0}}
    assert [entry["targetId"] for entry in await entries(api, ada)] == [run]


async def test_the_idempotency_key_of_a_deleted_run_is_free(api: Api, ada: Principal) -> None:
    workflow = await created(api, ada, "flow", STEP)
    given = {"workflowId": workflow, "idempotencyKey": "once"}
    run = await ran(api, ada, workflow, idempotencyKey="once")
    existing = (await api.run(START, {"i": given}, caller=ada)).data["startRun"]
    assert (existing["isExisting"], existing["run"]["id"]) == (True, run)
    assert (await deleted(api, ada, run))["userErrors"] == []
    another = (await api.run(START, {"i": given}, caller=ada)).data["startRun"]
    assert (another["isExisting"], another["userErrors"]) == (False, [])
    assert another["run"]["id"] != run


@pytest.mark.parametrize(
    ("scopes", "codes"), [([Scope.READ, Scope.EXECUTE], ["FORBIDDEN"]), ([Scope.READ, Scope.WRITE], [])]
)
async def test_a_program_that_only_starts_runs_cannot_take_their_traces_away(
    api: Api, ada: Principal, scopes: list[Scope], codes: list[str]
) -> None:
    run = await ran(api, ada, await created(api, ada, "flow", STEP))
    _, token = await api.services.api_keys.create(ada, None, "cleaner", scopes)
    program = await api.services.api_keys.authenticate(token)
    answer = await api.run(DELETE, {"id": run}, caller=program)
    told = [error["code"] for error in answer.data["deleteRun"]["userErrors"]] if answer.data else []
    assert answer.codes + told == codes
    noted = [(entry["targetId"], entry["apiKey"]) for entry in await entries(api, ada)]
    assert noted == ([] if codes else [(run, {"name": "cleaner"})])


async def test_somebody_elses_run_is_not_there_to_be_deleted(api: Api, ada: Principal, database: Database) -> None:
    run = await ran(api, ada, await created(api, ada, "flow", STEP))
    eve = await make_principal(database, "eve")
    assert one_of((await deleted(api, eve, run))["userErrors"])["code"] == "NOT_FOUND"
    assert (await deleted(api, ada, run))["userErrors"] == []


async def test_who_still_reads_the_log_of_a_run_that_goes_is_told_so(api: Api, ada: Principal) -> None:
    each = {**STEP, "forEach": {"items": "input.list"}}
    run = await ran(api, ada, await created(api, ada, "flow", each), input={"list": list(range(100))})
    follow = "subscription ($id: ID!) {runEvents(runId: $id) {seq}}"
    stream = await api.schema.stream(follow, variable_values={"id": run}, context_value=Context(api.services, ada))
    results: list[Any] = []
    async with aclosing(stream):
        async for result in stream:
            if not results:
                assert (await deleted(api, ada, run))["userErrors"] == []
            results.append(result)
    seqs = [result.data["runEvents"]["seq"] for result in results[:-1]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert 1 <= len(seqs) < 200
    (error,) = results[-1].errors
    assert (error.extensions["code"], error.message) == ("NOT_FOUND", "The run was deleted.")
