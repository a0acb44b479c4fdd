from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.collections import NewDocument, SearchQuery
from domain.connections import OpenaiCompatibleSettings
from domain.data_tables import ColumnType, DataColumn
from domain.events import NodeStarted
from domain.identity import Principal, Role
from domain.ids import Prefix, RunId, WorkspaceId, from_global, to_global
from domain.workflow import Definition, Graph, GraphNode, WorkflowDraft
from gql.schema import build_schema
from runtime.collections import CollectionDraft
from runtime.connections import ConnectionDraft
from runtime.services import open_services
from runtime.settings import RunsSettings, Settings, VectorsSettings
from tests.support.api import Api
from tests.support.identity import Clock, dump_of, identity_services
from tests.support.people import fresh, invite, sign_up
from tests.support.services import settings_on
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from persistence.database import Database

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]

CREATE = """
mutation ($name: String!) { createWorkspace(input: { name: $name }) {
  workspace { id name role members { nodes { role user { email } } } } userErrors { code path }
} }
"""
UPDATE = """
mutation ($input: UpdateWorkspaceInput!) { updateWorkspace(input: $input) {
  workspace { id name } userErrors { code path }
} }
"""
DELETE = """
mutation ($id: ID!, $name: String!) { deleteWorkspace(input: { id: $id, confirmName: $name }) {
  deletedWorkspaceId userErrors { __typename code path }
} }
"""
SECRET = """
mutation ($ws: ID) { createSecret(input: { workspaceId: $ws, name: "TOKEN", value: "value" }) {
  secret { name } userErrors { code path }
} }
"""


_HUNG_EXECUTOR = """
WITH hung AS (
  INSERT INTO executors (id, lock_key, expires_at) VALUES (gen_random_uuid(), 1, now() + interval '1 hour') RETURNING id
)
UPDATE runs SET status = 'RUNNING', started_at = now(), executor_id = hung.id FROM hung
"""


@pytest.fixture
def api(database: Database) -> Api:
    return Api(SCHEMA, identity_services(database, Clock()))


@pytest.fixture
async def ada(api: Api) -> Principal:
    return (await sign_up(api, "ada@example.com")).principal


@pytest.fixture
async def whole(database_url: str, tmp_path: Path) -> AsyncGenerator[Api]:
    """Everything that a server has, with indexes that are written to disk at once."""
    settings = settings_on(database_url, tmp_path).model_copy(update={"vectors": VectorsSettings(snapshot_after=1)})
    async with open_services(settings) as services:
        yield Api(SCHEMA, services)


async def create(api: Api, caller: Principal, name: str) -> str:
    payload = (await api.run(CREATE, {"name": name}, caller=caller)).data["createWorkspace"]
    assert payload["userErrors"] == []
    return payload["workspace"]["id"]


async def delete(api: Api, caller: Principal, workspace_id: str, name: str) -> dict[str, Any]:
    return (await api.run(DELETE, {"id": workspace_id, "name": name}, caller=caller)).data["deleteWorkspace"]


def own_id(caller: Principal) -> str:
    return to_global(Prefix.WORKSPACE, next(iter(caller.roles)))


async def test_whoever_makes_a_workspace_owns_it(api: Api, ada: Principal) -> None:
    payload = (await api.run(CREATE, {"name": "  Second "}, caller=ada)).data["createWorkspace"]
    made = payload["workspace"]
    assert (made["name"], made["role"]) == ("Second", "OWNER")
    assert made["members"]["nodes"] == [{"role": "OWNER", "user": {"email": "ada@example.com"}}]
    wrong = (await api.run(CREATE, {"name": " "}, caller=ada)).data["createWorkspace"]
    assert wrong["userErrors"] == [{"code": "INVALID_INPUT", "path": ["input", "name"]}]


async def test_with_two_workspaces_one_has_to_be_named(api: Api, ada: Principal) -> None:
    assert (await api.run(SECRET, caller=ada)).data["createSecret"]["userErrors"] == []
    second = await create(api, ada, "Second")
    ada = await fresh(api, ada)
    unnamed = (await api.run(SECRET, caller=ada)).data["createSecret"]
    assert unnamed["userErrors"] == [{"code": "WORKSPACE_REQUIRED", "path": ["input", "workspaceId"]}]
    named = (await api.run(SECRET, {"ws": second}, caller=ada)).data["createSecret"]
    assert named == {"secret": {"name": "TOKEN"}, "userErrors": []}, "names are of a workspace, not of a person"


async def test_a_person_owns_a_hundred_workspaces_at_most(api: Api, ada: Principal) -> None:
    for number in range(99):
        await create(api, ada, f"Number {number}")
    payload = (await api.run(CREATE, {"name": "Too many"}, caller=ada)).data["createWorkspace"]
    assert payload["userErrors"] == [{"code": "LIMIT_EXCEEDED", "path": None}]


async def test_a_workspace_is_renamed_by_its_admins(api: Api, ada: Principal) -> None:
    named = {"id": own_id(ada), "name": "Flows"}
    payload = (await api.run(UPDATE, {"input": named}, caller=ada)).data["updateWorkspace"]
    assert payload["workspace"] == {"id": own_id(ada), "name": "Flows"}
    untouched = (await api.run(UPDATE, {"input": {"id": own_id(ada)}}, caller=ada)).data["updateWorkspace"]
    assert untouched["workspace"]["name"] == "Flows"
    empty = (await api.run(UPDATE, {"input": {**named, "name": ""}}, caller=ada)).data["updateWorkspace"]
    assert empty["userErrors"] == [{"code": "INVALID_INPUT", "path": ["input", "name"]}]
    bob = (await sign_up(api, "bob@example.com", await invite(api, ada, "bob@example.com", Role.EDITOR))).principal
    refused = (await api.run(UPDATE, {"input": named}, caller=bob)).data["updateWorkspace"]
    assert [error["code"] for error in refused["userErrors"]] == ["FORBIDDEN"]


async def test_a_workspace_is_told_which_model_its_nodes_use_and_with_a_name_all_is_changed_or_nothing(
    api: Api, ada: Principal
) -> None:
    for name, settings in (
        ("local", """ openaiCompatible: { baseUrl: "https://models.example.com/v1" } """),
        ("tables", """ postgres: { host: "db.example.com", database: "shop", username: "one", password: "secret" } """),
    ):
        made = await api.run(
            f'mutation {{ createConnection(input: {{ name: "{name}", settings: {{ {settings} }} }}) {{ userErrors {{ message }} }} }}',
            caller=ada,
        )
        assert made.data["createConnection"]["userErrors"] == []

    async def change(**given: object) -> list[tuple[str, list[str]]]:
        answer = await api.run(UPDATE, {"input": {"id": own_id(ada), **given}}, caller=ada)
        return [(error["code"], error["path"]) for error in answer.data["updateWorkspace"]["userErrors"]]

    async def shown() -> dict[str, Any]:
        answer = await api.run("{ viewer { workspaces { nodes { name defaultConnection { name } } } } }", caller=ada)
        return answer.data["viewer"]["workspaces"]["nodes"][0]

    assert await change(defaultConnection="local", name="Flows") == []
    assert await shown() == {"name": "Flows", "defaultConnection": {"name": "local"}}
    faulty = [("INVALID_INPUT", ["input", "defaultConnection"])]
    assert await change(defaultConnection="tables", name="Other") == faulty
    assert await change(defaultConnection="nowhere", name="Other") == faulty
    assert await change(defaultConnection=None, name="") == [("INVALID_INPUT", ["input", "name"])]
    assert await shown() == {"name": "Flows", "defaultConnection": {"name": "local"}}
    assert await change(defaultConnection=None) == []
    assert (await shown())["defaultConnection"] is None


async def test_only_an_owner_who_types_the_name_deletes_a_workspace(api: Api, ada: Principal) -> None:
    bob = (await sign_up(api, "bob@example.com", await invite(api, ada, "bob@example.com", Role.ADMIN))).principal
    eve = (await sign_up(api, "eve@example.com")).principal
    name = "ada's workspace"
    assert (await delete(api, bob, own_id(ada), name))["userErrors"][0]["code"] == "FORBIDDEN"
    assert (await delete(api, eve, own_id(ada), name))["userErrors"][0]["code"] == "NOT_FOUND"
    wrong = await delete(api, ada, own_id(ada), "ada")
    assert [(error["code"], error["path"]) for error in wrong["userErrors"]] == [
        ("INVALID_INPUT", ["input", "confirmName"])
    ]
    assert await delete(api, ada, own_id(ada), name) == {"deletedWorkspaceId": own_id(ada), "userErrors": []}
    assert (await fresh(api, ada)).roles == (await fresh(api, bob)).roles == {}
    await create(api, await fresh(api, ada), "A new one")


async def test_a_deleted_workspace_leaves_nothing_in_any_table_nor_on_the_disk(
    whole: Api, database: Database, tmp_path: Path
) -> None:
    ada = (await sign_up(whole, "ada@example.com")).principal
    kept_run = await started(whole, ada, wait_ms=1)
    second = await create(whole, ada, "Second")
    doomed = await filled(whole, await fresh(whole, ada), second)
    kept = await filled(whole, await fresh(whole, ada), own_id(ada))
    async with database.connection() as connection:
        await connection.execute(text("INSERT INTO connection_limits (key) SELECT id FROM connections"))
    await until(lambda: _has_files(tmp_path, 2))
    snapshots = await files(tmp_path)
    payload = await delete(whole, await fresh(whole, ada), second, "Second")
    assert payload == {"deletedWorkspaceId": second, "userErrors": []}
    assert len(left := await files(tmp_path)) == 1
    assert set(left) < set(snapshots)
    dump = await dump_of(database)
    assert [one for one in doomed if one in dump] == []
    assert [one for one in [*kept, str(kept_run)] if one not in dump] == []


async def test_what_runs_in_a_deleted_workspace_is_stopped_first(whole: Api, database: Database) -> None:
    ada = (await sign_up(whole, "ada@example.com")).principal
    other = await started(whole, ada, wait_ms=600_000)
    second = await create(whole, ada, "Second")
    ada = await fresh(whole, ada)
    runs = [await started(whole, ada, wait_ms=600_000, workspace_id=second) for _ in range(3)]
    events = [event async for event in _until_waiting(whole, ada, runs[0])]
    assert events
    assert (await delete(whole, ada, second, "Second"))["userErrors"] == []
    dump = await dump_of(database)
    assert [run for run in runs if str(run) in dump] == []
    await until(lambda: whole.services.engine.run_count <= 1)
    run = await whole.services.runs.find(ada, other)
    assert run is not None
    assert not run.status.is_finished


async def test_what_is_started_while_a_workspace_goes_is_either_stopped_or_refused(
    whole: Api, database: Database
) -> None:
    ada = (await sign_up(whole, "ada@example.com")).principal
    second = await create(whole, ada, "Second")
    ada = await fresh(whole, ada)
    first = await started(whole, ada, wait_ms=600_000, workspace_id=second)
    run = await whole.services.runs.find(ada, first)
    assert run is not None
    start = "mutation ($id: ID!) { startRun(input: { workflowId: $id }) { run { id } userErrors { code } } }"

    async def start_more() -> set[str]:
        ids = {"id": to_global(Prefix.WORKFLOW, run.workflow_id)}
        answers = [await whole.run(start, ids, caller=ada) for _ in range(30)]
        assert [answer.errors for answer in answers if answer.errors] == []
        return {error["code"] for answer in answers for error in answer.data["startRun"]["userErrors"]}

    payload, refused = await asyncio.gather(delete(whole, ada, second, "Second"), start_more())
    assert payload["userErrors"] == []
    assert refused <= {"NOT_FOUND"}
    assert str(from_global(Prefix.WORKSPACE, second)) not in await dump_of(database)


async def test_a_workspace_whose_runs_do_not_stop_stays_as_it_is(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.workspaces._STOP_TIMEOUT_S", 0.3)
    nobody_runs = settings_on(database_url, tmp_path).model_copy(update={"runs": RunsSettings(max_concurrent_runs=0)})
    async with open_services(nobody_runs) as services:
        api = Api(SCHEMA, services)
        ada = (await sign_up(api, "ada@example.com")).principal
        run_id = await started(api, ada, wait_ms=1)
        async with database.connection() as connection:
            # Some other process has it, and does not answer.
            await connection.execute(text("DELETE FROM queued_runs"))
            await connection.execute(text(_HUNG_EXECUTOR))
        payload = await delete(api, ada, own_id(ada), "ada's workspace")
        assert [error["code"] for error in payload["userErrors"]] == ["IN_USE"]
        assert await services.runs.find(ada, run_id) is not None


# ── what a workspace holds ──


async def started(api: Api, caller: Principal, *, wait_ms: int, workspace_id: str | None = None) -> RunId:
    node = GraphNode(key="pause", config={"wait": {"durationMs": wait_ms}})
    draft = WorkflowDraft(f"Flow {uuid4().hex}", definition=Definition(graph=Graph(nodes=(node,))))
    place = None if workspace_id is None else WorkspaceId(from_global(Prefix.WORKSPACE, workspace_id))
    workflow = await api.services.workflows.create(caller, place, draft)
    await api.services.versions.publish(caller, workflow.id, workflow.revision, None)
    return (await api.services.runs.start(caller, workflow.id, {})).id


async def filled(api: Api, caller: Principal, workspace_id: str) -> list[str]:
    """Put one of everything into a workspace; return the ids, as the tables show them."""
    services, place = api.services, WorkspaceId(from_global(Prefix.WORKSPACE, workspace_id))
    run = await started(api, caller, wait_ms=600_000, workspace_id=workspace_id)
    settings = OpenaiCompatibleSettings("https://models.example.com/v1")
    connection = await services.connections.create(caller, place, ConnectionDraft("models", settings, max_concurrent=1))
    secret = await services.secrets.create(caller, place, "TOKEN", "value", None)
    table = await services.data_tables.create(caller, place, "visits", [DataColumn("place", ColumnType.TEXT)])
    collection = await services.collections.create(caller, place, CollectionDraft("library"))
    _, [written] = await services.documents.upsert(caller, collection.id, [NewDocument(None, "A text.", None)])
    await services.collections.search(caller, collection.id, SearchQuery(text="a text"))
    invitation, _ = await services.people.invitations.invite(caller, place, "bob@example.com", Role.VIEWER, None)
    return [
        str(one) for one in (place, run, connection.id, secret.id, table.id, collection.id, written.id, invitation.id)
    ]


async def files(data_dir: Path) -> list[str]:
    """Return the names of the snapshots on the disk."""
    return await asyncio.to_thread(lambda: sorted(path.name for path in (data_dir / "indexes").glob("*.faiss")))


async def _until_waiting(api: Api, caller: Principal, run_id: RunId) -> AsyncGenerator[object]:
    async for logged in api.services.runs.follow(caller, run_id, None):
        yield logged
        if isinstance(logged.event, NodeStarted):
            return


async def _has_files(data_dir: Path, count: int) -> bool:
    return len(await files(data_dir)) == count
