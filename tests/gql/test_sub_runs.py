from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import Prefix, RunId, from_global
from tests.gql.test_steering import cancel, has_status
from tests.support.identity import make_principal
from tests.support.query_count import counting
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

CREATE = "mutation ($input: CreateWorkflowInput!) {createWorkflow(input: $input) {workflow {id} userErrors {message}}}"
START = "mutation ($id: ID!) {startRun(input: {workflowId: $id}) {run {id} userErrors {message}}}"
STOP = "mutation ($id: ID!) {cancelRun(input: {id: $id}) {run {id} userErrors {message}}}"
TREE = """query ($id: ID!) {run(id: $id) {id status subRuns(first: 10) {nodes {id status trigger {kind}
  subRuns(first: 10) {nodes {id status subRuns(first: 10) {nodes {id status}}}}}}}}"""
CALLS = "query ($id: ID!) {run(id: $id) {nodeRuns(first: 100) {nodes {nodeKey subRun {id status}}}}}"
RERUN = "mutation ($id: ID!) {rerunRun(input: {runId: $id, from: START}) {run {id} userErrors {message}}}"
LINKED = """{runs(first: 100) {nodes {id trigger {kind} reruns(first: 1) {totalCount nodes {id}}
  subRuns(first: 10) {totalCount nodes {id}}}}}"""
CRASH = "query ($id: ID!) {run(id: $id) {status error {code message} events(last: 1) {nodes {... on RunCrashed {error {code}}}}}}"


def calls(slug: str, key: str = "sub") -> dict[str, Any]:
    return {"key": key, "config": {"subworkflow": {"workflow": slug, "version": {"track": "DRAFT"}}}}


async def created(api: Api, by: Principal, slug: str, *nodes: dict[str, Any]) -> str:
    fields = {"name": slug, "slug": slug, "graph": {"nodes": list(nodes), "edges": []}}
    answer = await api.run(CREATE, {"input": fields}, caller=by)
    assert answer.data["createWorkflow"]["userErrors"] == []
    return answer.data["createWorkflow"]["workflow"]["id"]


async def begun_family(api: Api, by: Principal) -> str:
    """Start a run that calls one that calls one that calls one that asks; return its id when all of them are there."""
    await created(api, by, "fourth", {"key": "ask", "config": {"approval": {"title": "Well?"}}})
    await created(api, by, "third", calls("fourth"))
    await created(api, by, "second", calls("third"))
    first = await created(api, by, "first", calls("second"))
    run = (await api.run(START, {"id": first}, caller=by)).data["startRun"]["run"]["id"]

    async def are_there() -> bool:
        return len(await family(api, by, run)) == 4

    await until(are_there, timeout_s=40)
    return run


async def family(api: Api, by: Principal, run: str) -> list[str]:
    """Return the ids of a run and of all that it leads to."""
    answer = await api.run(TREE, {"id": run}, caller=by)
    assert answer.errors == []
    found: list[str] = []
    waiting = [answer.data["run"]]
    while waiting:
        one = waiting.pop()
        found.append(one["id"])
        waiting += one.get("subRuns", {"nodes": []})["nodes"]
    return found


@pytest.mark.parametrize("is_many", [False, True])
async def test_cancelling_goes_down_to_the_runs_that_the_called_runs_call(
    api: Api, ada: Principal, is_many: bool
) -> None:
    run = await begun_family(api, ada)
    ids = await family(api, ada, run)
    if is_many:
        assert (await cancel(api, ada))["canceledCount"] == 1, "the others through their callers"
    else:
        assert (await api.run(STOP, {"id": run}, caller=ada)).data["cancelRun"]["userErrors"] == []
    for one in ids:
        await has_status(api, ada, one, "CANCELED")
    asked = await api.run("{viewer {workspaces {nodes {approvals {nodes {status}}}}}}", caller=ada)
    (workspace,) = asked.data["viewer"]["workspaces"]["nodes"]
    assert workspace["approvals"]["nodes"] == [{"status": "CANCELED"}]


async def test_sub_runs_are_nobody_elses_and_pausing_a_parent_leaves_them_alone(
    api: Api, ada: Principal, database: Database
) -> None:
    run = await begun_family(api, ada)
    eve = await make_principal(database, "eve")
    for one in await family(api, ada, run):
        assert (await api.run(TREE, {"id": one}, caller=eve)).data["run"] is None
        refused = (await api.run(STOP, {"id": one}, caller=eve)).data["cancelRun"]
        assert refused["userErrors"] == [{"message": "There is no run with this id."}]
    await api.services.steering.pause(ada, RunId(from_global(Prefix.RUN, run)))
    await has_status(api, ada, run, "PAUSED")
    statuses = [
        (await api.run(TREE, {"id": one}, caller=ada)).data["run"]["status"] for one in await family(api, ada, run)
    ]
    assert set(statuses) <= {"PAUSED", "RUNNING", "WAITING"}
    assert statuses.count("PAUSED") == 1


async def test_the_runs_that_nodes_call_are_read_in_as_many_statements_for_many_as_for_one(
    api: Api, ada: Principal
) -> None:
    step = {"key": "a", "config": {"transform": {"fields": [{"name": "n", "value": "1"}]}}}
    await created(api, ada, "leaf", step)
    counts: list[int] = []
    for count in (1, 5):
        workflow = await created(api, ada, f"calls-{count}", *(calls("leaf", f"sub{n}") for n in range(count)))
        run = (await api.run(START, {"id": workflow}, caller=ada)).data["startRun"]["run"]["id"]
        await has_status(api, ada, run, "SUCCEEDED")
        with counting() as statements:
            answer = await api.run(CALLS, {"id": run}, caller=ada)
        counts.append(statements.count)
        nodes = answer.data["run"]["nodeRuns"]["nodes"]
        assert [node["subRun"]["status"] for node in nodes] == ["SUCCEEDED"] * count
    assert counts[0] == counts[1]


async def test_called_runs_and_reruns_are_listed_in_as_many_statements_for_many_runs_as_for_one(
    api: Api, ada: Principal
) -> None:
    step = {"key": "a", "config": {"transform": {"fields": [{"name": "n", "value": "1"}]}}}
    await created(api, ada, "leaf", step)
    workflow = await created(api, ada, "top", calls("leaf", "one"), calls("leaf", "two"))
    counts: list[int] = []
    executed = ""
    for count in range(1, 4):
        run = (await api.run(START, {"id": workflow}, caller=ada)).data["startRun"]["run"]["id"]
        await has_status(api, ada, run, "SUCCEEDED")
        again = [(await api.run(RERUN, {"id": run}, caller=ada)).data["rerunRun"]["run"]["id"] for _ in range(2)]
        with counting() as statements:
            answer = await api.run(LINKED, caller=ada)
        counts.append(statements.count)
        tops = [one for one in answer.data["runs"]["nodes"] if one["trigger"]["kind"] == "MANUAL"]
        assert [one["subRuns"]["totalCount"] for one in tops] == [2] * count
        assert all(one["subRuns"]["nodes"][0]["id"] < one["subRuns"]["nodes"][1]["id"] for one in tops), "oldest first"
        executed = str(statements)
        assert tops[0]["reruns"] == {"totalCount": 2, "nodes": [{"id": again[1]}]}
    assert counts == [counts[0]] * 3, executed


async def test_a_run_that_crashed_says_why(api: Api, ada: Principal, database: Database) -> None:
    workflow = await created(api, ada, "asks", {"key": "ask", "config": {"approval": {"title": "Well?"}}})
    run = (await api.run(START, {"id": workflow}, caller=ada)).data["startRun"]["run"]["id"]
    await has_status(api, ada, run, "WAITING")
    failure = '{"code": "CRASHED", "message": "Lost.", "isRetryable": false, "nodeKey": null, "itemIndex": null, "attempt": null}'
    async with database.direct() as connection:
        await connection.execute(
            "WITH run AS (UPDATE runs SET status = 'CRASHED', failure = $2::jsonb, last_seq = last_seq + 1, finished_at = now()"
            " WHERE id = $1 RETURNING id, last_seq)"
            " INSERT INTO run_events (run_id, seq, event_key, type, at, data)"
            " SELECT id, last_seq, 'RunCrashed', 'RunCrashed', now(), json_build_object('failure', $2::json) FROM run",
            from_global(Prefix.RUN, run),
            failure,
        )
    shown = (await api.run(CRASH, {"id": run}, caller=ada)).data["run"]
    assert shown == {
        "status": "CRASHED",
        "error": {"code": "CRASHED", "message": "Lost."},
        "events": {"nodes": [{"error": {"code": "CRASHED"}}]},
    }
    again = "mutation ($id: ID!) {rerunRun(input: {runId: $id, from: FAILED}) {run {id} userErrors {message}}}"
    rerun = (await api.run(again, {"id": run}, caller=ada)).data["rerunRun"]
    assert (rerun["userErrors"], rerun["run"] is None) == ([], False)
