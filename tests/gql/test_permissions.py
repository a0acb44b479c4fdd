"""The matrix: every root field of the schema, by who asks and by whose object it names.

It is generated from the schema, so a new field is in it at once. Where it cannot make arguments up, it fails and says
which of the three tables below wants a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from domain.collections import NewDocument
from domain.connections import OpenaiCompatibleSettings
from domain.data_tables import ALL_ROWS, ColumnType, DataColumn
from domain.identity import ROLES_WITH, Permission, Principal, Role
from domain.ids import CollectionId, DataTableId, DocumentId, Prefix, RunId, WorkflowId, from_global, to_global
from domain.ports.paging import PageRequest
from domain.workflow import Definition, Graph, GraphEdge, GraphNode, WorkflowDraft
from gql.fields import permission_of
from gql.lookup import registered_prefixes
from gql.schema import build_schema
from persistence.database import open_database
from runtime.collections import CollectionDraft
from runtime.connections import ConnectionDraft
from runtime.settings import Settings
from tests.support import matrix_machines, matrix_people
from tests.support.api import Answer, Api
from tests.support.approvals import asked as asked_question
from tests.support.data_tables import write_row
from tests.support.identity import PASSWORD
from tests.support.matrix import RootField, root_fields
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    from runtime.services import Services

# ── the three tables: extend them with every feature ──


async def _user(_: Services, owner: Principal) -> str:
    return to_global(Prefix.USER, owner.user.id)


async def _workspace(_: Services, owner: Principal) -> str:
    return to_global(Prefix.WORKSPACE, next(iter(owner.roles)))


async def _secret(services: Services, owner: Principal) -> str:
    secret = await services.secrets.create(owner, None, f"S_{uuid4().hex.upper()}", "value", None)
    return to_global(Prefix.SECRET, secret.id)


async def _connection(services: Services, owner: Principal) -> str:
    settings = OpenaiCompatibleSettings("https://models.example.com/v1")
    connection = await services.connections.create(owner, None, ConnectionDraft(f"c-{uuid4().hex}", settings))
    return to_global(Prefix.CONNECTION, connection.id)


async def _collection(services: Services, owner: Principal) -> str:
    made = await services.collections.create(owner, None, CollectionDraft(f"c-{uuid4().hex}"))
    return to_global(Prefix.COLLECTION, made.id)


async def _document(services: Services, owner: Principal) -> str:
    collection_id = CollectionId(from_global(Prefix.COLLECTION, await _collection(services, owner)))
    _, [written] = await services.documents.upsert(owner, collection_id, [NewDocument(None, "A text.", None)])
    return to_global(Prefix.DOCUMENT, written.id)


async def _chunk(services: Services, owner: Principal) -> str:
    document_id = DocumentId(from_global(Prefix.DOCUMENT, await _document(services, owner)))
    [document] = await services.documents.list_by_id(owner, [document_id])
    [chunk] = (await services.documents.page_chunks([document.id], PageRequest(1)))[document.id].items
    return to_global(Prefix.CHUNK, chunk.id)


async def _workflow(services: Services, owner: Principal) -> str:
    config = {"transform": {"fields": [{"name": "one", "value": 1}]}}
    nodes = tuple(GraphNode(key=key, config=config) for key in ("step", "last"))
    graph = Graph(nodes=nodes, edges=(GraphEdge(source="step", target="last"),))
    draft = WorkflowDraft(f"Matrix {uuid4().hex}", definition=Definition(graph=graph))
    workflow = await services.workflows.create(owner, None, draft)
    await services.versions.publish(owner, workflow.id, workflow.revision, None)
    return to_global(Prefix.WORKFLOW, workflow.id)


async def _version(services: Services, owner: Principal) -> str:
    workflow_id = WorkflowId(from_global(Prefix.WORKFLOW, await _workflow(services, owner)))
    version = await services.versions.find(owner, workflow_id, 1)
    assert version is not None
    return to_global(Prefix.VERSION, version.id)


async def _run(services: Services, owner: Principal) -> str:
    workflow_id = WorkflowId(from_global(Prefix.WORKFLOW, await _workflow(services, owner)))
    return to_global(Prefix.RUN, (await services.runs.start(owner, workflow_id, {})).id)


async def _node_run(services: Services, owner: Principal) -> str:
    run_id = RunId(from_global(Prefix.RUN, await _run(services, owner)))
    async for _ in services.runs.follow(owner, run_id, None):
        pass
    return f"{to_global(Prefix.NODE_RUN, run_id)}.step"


async def _data_table(services: Services, owner: Principal) -> str:
    columns = [DataColumn("matrix", ColumnType.TEXT)]
    table = await services.data_tables.create(owner, None, f"t-{uuid4().hex}", columns)
    return to_global(Prefix.DATA_TABLE, table.id)


async def _data_row(services: Services, owner: Principal) -> str:
    table_id = DataTableId(from_global(Prefix.DATA_TABLE, await _data_table(services, owner)))
    table = await services.data_tables.find(owner, table_id)
    assert table is not None
    url = services.settings.database_url
    assert url is not None
    async with open_database(url.get_secret_value(), pool_size=1) as database:
        await write_row(database, table, {"matrix": "row"})
    rows = await services.data_tables.page_rows([table.id], ALL_ROWS, PageRequest(1))
    return to_global(Prefix.DATA_ROW, rows[table.id].items[0].id)


OBJECTS: dict[Prefix, Callable[[Services, Principal], Awaitable[str]]] = {
    Prefix.USER: _user,
    Prefix.WORKSPACE: _workspace,
    Prefix.SECRET: _secret,
    Prefix.CONNECTION: _connection,
    Prefix.COLLECTION: _collection,
    Prefix.DOCUMENT: _document,
    Prefix.CHUNK: _chunk,
    Prefix.WORKFLOW: _workflow,
    Prefix.VERSION: _version,
    Prefix.RUN: _run,
    Prefix.NODE_RUN: _node_run,
    Prefix.DATA_TABLE: _data_table,
    Prefix.DATA_ROW: _data_row,
    Prefix.APPROVAL: asked_question,
}
"""How an object of a prefix is made that belongs to a caller."""

IDS: dict[str, Prefix] = {
    "workspace.id": Prefix.WORKSPACE,
    "workflow.id": Prefix.WORKFLOW,
    **{f"{verb}Workflow.input.id": Prefix.WORKFLOW for verb in ("update", "delete", "publish")},
    "restoreWorkflowVersion.input.id": Prefix.WORKFLOW,
    "run.id": Prefix.RUN,
    **{f"{verb}Run.input.id": Prefix.RUN for verb in ("cancel", "pause", "resume", "delete")},
    **{f"{verb}Secret.input.id": Prefix.SECRET for verb in ("update", "delete")},
    **{f"{verb}Connection.input.id": Prefix.CONNECTION for verb in ("delete", "test", "update")},
    "dataTable.id": Prefix.DATA_TABLE,
    "deleteDataTable.input.id": Prefix.DATA_TABLE,
    "collection.id": Prefix.COLLECTION,
    **{f"{verb}Collection.input.id": Prefix.COLLECTION for verb in ("delete", "rebuild")},
    # By the last word, wherever it stands:
    "workspaceId": Prefix.WORKSPACE,
    "workflowId": Prefix.WORKFLOW,
    "runId": Prefix.RUN,
    "collectionId": Prefix.COLLECTION,
    "documentIds": Prefix.DOCUMENT,
    "userId": Prefix.USER,
    "workflowIds": Prefix.WORKFLOW,
    "runIds": Prefix.RUN,
    "userIds": Prefix.USER,
    "approvalId": Prefix.APPROVAL,
    "approval.id": Prefix.APPROVAL,
}
"""What an id means, by its place or by its last word."""

VALUES: dict[str, object] = {
    "createSecret.input.name": "MATRIX",
    "createConnection.input.settings.openaiCompatible.baseUrl": "https://models.example.com/v1",
    "createDataTable.input.columns": [{"name": "matrix", "type": "TEXT"}],
    "changePassword.input.currentPassword": PASSWORD,
    "changePassword.input.newPassword": "another horse",
    "signUp.input.email": "matrix@example.com",
    "signUp.input.password": PASSWORD,
    "signIn.input.email": "nobody@example.com",
    "serverTime.everyMs": 100,
    "search.input.text": "a text",
    **{f"{verb}Node.input.key": "step" for verb in ("update", "remove")},
    **{f"{verb}Nodes.input.source": "step" for verb in ("connect", "disconnect")},
    **{f"{verb}Nodes.input.target": "last" for verb in ("connect", "disconnect")},
    "moveNodes.input.positions": [{"key": "step", "x": 1, "y": 2}],
    "tryNode.input.nodeKey": "step",
    "previewTemplate.input.nodeKey": "step",
    "importWorkflow.input.document": "name: Matrix",
    "answerApproval.input.action": "approve",
}
"""Values that are acceptable where the made-up one is not, by their place."""

NARROWING = {"runChanged.workflowId", "deleteDocuments.input.documentIds", "cancelRuns.input.filter.workflowIds"}
"""Ids that narrow what is asked for: of what is not there, as of what is somebody else's, nothing is told or done."""

for more in (matrix_people, matrix_machines):  # of each package its own
    OBJECTS.update(more.OBJECTS)
    IDS.update(more.IDS)
    VALUES.update(more.VALUES)

# These two take ids of every type; a test of their own asks them.
OF_ALL_TYPES = {"node", "nodes"}

# ── what is asked ──

_SETTINGS = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
_SCHEMA = build_schema(_SETTINGS)
FIELDS = list(root_fields(_SCHEMA._schema))
_OPERATIONS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}


def permission(field: RootField) -> Permission | None:
    root = cast("Any", _SCHEMA.get_type_by_name(_OPERATIONS[field.operation]))
    name = _SCHEMA.config.name_converter.from_field
    return next(permission_of(declared) for declared in root.fields if name(declared) == field.name)


def prefix_of(place: str) -> Prefix:
    found = IDS.get(place) or IDS.get(place.rpartition(".")[2])
    assert found, f"The matrix does not know what the id `{place}` means: add it to IDS in {__name__}."
    return found


@dataclass
class Stage:
    """Two people who share nothing, and the API that they use."""

    api: Api
    ada: Principal
    eve: Principal

    async def make(self, prefix: Prefix, owner: Principal) -> str:
        make = OBJECTS.get(prefix)
        assert make, (
            f"The matrix cannot make an object with the prefix `{prefix.value}`: add it to OBJECTS in {__name__}."
        )
        return await make(self.api.services, owner)

    async def ask(self, field: RootField, caller: Principal | None, ids: Mapping[str, object]) -> Answer | None:
        variables = field.variables(ids, values(field))
        if field.operation == "subscription":
            return await self.api.first(field.document(), variables, caller=caller, timeout_s=1)
        return await self.api.run(field.document(), variables, caller=caller)

    async def own_ids(self, field: RootField) -> dict[str, object]:
        return {place: await self.make(prefix_of(place), self.ada) for place in field.ids}


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncGenerator[Stage]:
    async with open_test_services(database_url, tmp_path) as services:
        ada, eve = [
            (await services.identity.sign_up(f"{name}@example.com", PASSWORD, name, None, address="")).principal
            for name in ("ada", "eve")
        ]
        yield Stage(Api(_SCHEMA, services), ada, eve)


def values(field: RootField) -> dict[str, object]:
    return {place: value for place, value in VALUES.items() if place.split(".")[0] == field.name}


def codes(answer: Answer | None) -> set[str]:
    """Every code of an answer, top-level or in `userErrors`."""
    if answer is None:
        return set()
    data: dict[str, Any] = answer.data or {}
    payloads: list[dict[str, Any]] = [payload for payload in data.values() if isinstance(payload, dict)]
    user_errors = [error for payload in payloads for error in payload.get("userErrors", [])]
    return {*answer.codes, *(error["code"] for error in user_errors)}


def guarded() -> list[RootField]:
    return [field for field in FIELDS if permission(field) is not Permission.PUBLIC]


def test_every_root_field_declares_a_permission() -> None:
    assert len(FIELDS) > 10
    assert [f"{field.operation} {field.name}" for field in FIELDS if permission(field) is None] == []


def test_every_type_that_node_finds_is_in_the_matrix() -> None:
    assert registered_prefixes() - OBJECTS.keys() == set()


async def test_nobody_gets_past_a_field_that_is_not_public(stage: Stage) -> None:
    wrong: dict[str, object] = {}
    for field in FIELDS:
        answer = await stage.ask(field, None, _unknown(field))
        is_refused = answer is not None and answer.codes == ["UNAUTHENTICATED"]
        if is_refused is (permission(field) is Permission.PUBLIC):
            wrong[field.name] = answer
    assert wrong == {}


async def test_the_owner_of_everything_is_refused_nothing(stage: Stage) -> None:
    wrong: dict[str, object] = {}
    # Last, since nobody changes anything with a session that has ended.
    for field in sorted(guarded(), key=lambda one: one.name == "signOut"):
        if field.name in OF_ALL_TYPES:
            continue
        answer = await stage.ask(field, stage.ada, await stage.own_ids(field))
        refusals = codes(answer) & {
            "UNAUTHENTICATED", "NOT_FOUND", "FORBIDDEN", "WORKSPACE_REQUIRED", "INTERNAL_SERVER_ERROR",
            "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT",
        }  # fmt: skip
        is_null = field.operation == "query" and answer is not None and answer.data[field.name] is None
        if refusals or is_null:
            wrong[field.name] = answer
    assert wrong == {}


async def test_an_object_of_another_tenant_is_told_from_an_unknown_one_by_nothing_and_is_still_there(
    stage: Stage,
) -> None:
    asked, wrong = 0, dict[str, object]()
    foreign = {prefix: await stage.make(prefix, stage.eve) for prefix in OBJECTS}
    for field in guarded():
        if not field.ids or field.name in OF_ALL_TYPES:
            continue
        ids = await stage.own_ids(field)
        for place in field.ids:
            prefix = prefix_of(place)
            others = (foreign[prefix], to_global(prefix, uuid7()))
            told = [await _told(stage, field, ids, place, other) for other in others]
            asked += 1
            is_alike = told[0] == told[1] and (place in NARROWING or _is_not_found(told[0]))
            if not is_alike:
                wrong[place] = told
    assert asked >= 5
    assert wrong == {}, "If an argument was refused first, give an acceptable one in VALUES."
    answer = await stage.api.run(_NODES, {"ids": list(foreign.values())}, caller=stage.eve)
    assert [node["id"] for node in answer.data["nodes"]] == list(foreign.values())


async def test_node_finds_ones_own_objects_of_every_type_and_nobody_elses(stage: Stage) -> None:
    for prefix in OBJECTS:
        own, foreign = await stage.make(prefix, stage.ada), await stage.make(prefix, stage.eve)
        unknown = to_global(prefix, uuid7())
        answer = await stage.api.run(_NODES, {"ids": [own, foreign, unknown]}, caller=stage.ada)
        assert answer.data == {"nodes": [{"id": own}, None, None]}, prefix
        for asked in (own, foreign, unknown):
            one = await stage.api.run(_NODE, {"id": asked}, caller=stage.ada)
            assert one.data == {"node": {"id": own} if asked == own else None}
            nobody = await stage.api.run(_NODE, {"id": asked})
            assert (nobody.data, nobody.errors) == ({"node": None}, [])


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_do_exactly_what_the_fields_declare(stage: Stage, role: Role) -> None:
    actor = replace(stage.ada, roles=dict.fromkeys(stage.ada.roles, role))
    wrong: dict[str, object] = {}
    for field in guarded():
        declared = permission(field)
        if field.operation != "mutation" or declared is None or declared not in ROLES_WITH:
            continue
        answer = await stage.ask(field, actor, await stage.own_ids(field))
        is_allowed = role in ROLES_WITH[declared]
        if ("FORBIDDEN" in codes(answer)) is is_allowed or "NOT_FOUND" in codes(answer):
            wrong[f"{field.name} needs {declared.value}"] = answer
    assert wrong == {}


_NODE = "query ($id: ID!) { node(id: $id) { id } }"
_NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"


def _unknown(field: RootField) -> dict[str, object]:
    if field.name in OF_ALL_TYPES:
        return dict.fromkeys(field.ids, to_global(Prefix.RUN, uuid7()))
    return {place: to_global(prefix_of(place), uuid7()) for place in field.ids}


async def _told(stage: Stage, field: RootField, ids: Mapping[str, object], place: str, other: str) -> str:
    """What Ada is told, apart from the id that she asked for."""
    answer = await stage.ask(field, stage.ada, {**ids, place: other})
    told = json.dumps(answer and [answer.data, answer.errors])
    return told.replace(other, "the id").replace(str(from_global(prefix_of(place), other)), "the id")


def _is_not_found(told: str) -> bool:
    if '"NOT_FOUND"' in told:
        return True
    answer: Any = json.loads(told)
    if not answer or answer[1]:
        return False
    (found,) = answer[0].values()
    # A lookup finds nothing, and a filter leaves nothing over.
    return found is None or found.get("totalCount") == 0
