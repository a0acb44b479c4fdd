"""The ten queries that a user interface lives on take as many statements for many objects as for one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.collections import NewDocument
from domain.connections import OpenaiCompatibleSettings
from domain.data_tables import ColumnType, DataColumn
from domain.ids import Prefix, WorkspaceId, to_global
from domain.workflow import Definition, Graph, GraphEdge, GraphNode, WorkflowChange, WorkflowDraft
from gql.schema import build_schema
from runtime.collections import CollectionDraft
from runtime.connections import ConnectionDraft
from tests.support.api import Api
from tests.support.data_tables import write_row
from tests.support.identity import make_principal
from tests.support.query_count import counting
from tests.support.services import open_test_services
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from domain.ids import RunId
    from domain.workflow import Workflow
    from persistence.database import Database
    from runtime.services import Services

COUNT = 6
"""How many there are of each thing in the first workspace, and of workspaces."""
MEETINGS = 2
"""Two places of a document that read the same kind of thing, such as users, may or may not do so in the same turn of the event
loop, and in one statement then. What is read one by one takes `COUNT - 1` statements more."""
QUERIES = {
    "Me": "{ server { version } viewer { user { id name } workspaces(first: $n) { totalCount nodes { id name role } } } }",
    "OpenEditor": """{ workflow(id: $workflow) {
      slug revision hasUnpublishedChanges publishedVersion { number publishedBy { name } } updatedBy { name }
      graph { nodes { key configInput } } versions(first: $n) { totalCount nodes { number publishedBy { name } } } usedBy { nodeKey }
    } }""",
    "Home": """{ viewer { workspaces(first: $n) { nodes { name
      workflows(first: 4) { totalCount nodes { name latestRun { status } publishedVersion { number } updatedBy { name } } }
      runs(first: 4) { totalCount nodes { status workflow { name } workspace { name } } }
      approvals(first: 4, filter: { isAnswerable: true }) { totalCount nodes { title run { workflow { name } } } }
      collections(first: 4) { totalCount nodes { name } } dataTables(first: 4) { totalCount nodes { name } }
      connections(first: 4) { totalCount nodes { name usedBy { nodeKey } } } secrets(first: 4) { totalCount nodes { name usedBy { nodeKey } } }
      webhooks(first: 4) { totalCount nodes { name workflow { name } } }
    } } } }""",
    "Runs": """{ runs(workspaceId: $workspace, first: $n) { totalCount pageInfo { hasNextPage endCursor } nodes {
      status durationMs workflow { name } version { number } progress { done total } error { code } usage { cost } trigger { user { name } } input output
      nodeRuns(first: 3) { totalCount nodes { nodeKey output } } nodeRun(key: "last") { status output }
      events(first: 3, after: "HEAD") { totalCount } log: events(last: 3) { edges { cursor node { __typename } } }
      approvals(first: 3) { totalCount nodes { status } } subRuns(first: 3) { totalCount } reruns(first: 3) { totalCount }
    } } }""",
    "Run": """{ run(id: $run) { status input output graph { nodes { key } } snapshot { cursor nodes { key status } }
      nodeRuns(first: $n) { totalCount nodes { nodeKey input output partialText subRun { id } node { name } run { id } } }
      events(first: $n) { totalCount nodes { __typename run { id } } }
    } }""",
    "Inbox": """{ workspace(id: $workspace) { approvals(first: $n, filter: { statuses: [OPEN], isAnswerable: true }) {
      totalCount nodes { title isAnswerable answeredBy { name } run { workflow { name } } }
    } } }""",
    "Versions": """{ workflows(workspaceId: $workspace, first: $n) { nodes { name
      versions(first: 3) { totalCount nodes { number publishedBy { name } graph { nodes { key } } workflow { name } } }
      webhooks(first: 3) { totalCount nodes { name workflow { name } } }
    } } }""",
    "Collections": """{ workspace(id: $workspace) { collections(first: $n) { totalCount nodes { stats { documents } usedBy { nodeKey }
      documents(first: 3, filter: { path: "lang", in: ["en", 1] }) { totalCount nodes { externalId chunks(first: 2) { totalCount nodes { text } } } }
    } } } }""",
    "Tables": """{ workspace(id: $workspace) { dataTables(first: $n) { totalCount nodes { rowCount usedBy { nodeKey }
      rows(first: 3, filter: { path: "price", gt: 0 }, orderBy: { column: "price" }) { totalCount nodes { values run { id } } }
    } } } }""",
    "Usage": """{ workspace(id: $workspace) {
      usage(from: "2020-01-01T00:00:00Z", until: "2100-01-01T00:00:00Z", groupBy: WORKFLOW) { key runCount workflow { name } }
      runs(first: $n) { nodes { usage { totalTokens cost } nodeRuns(first: 5) { nodes { nodeKey usage { cost } } } } }
    } }""",
}  # fmt: skip


@dataclass(frozen=True)
class Seeded:
    """A caller with several workspaces, and an API to ask."""

    api: Api
    caller: Principal
    values: dict[str, str]


@pytest.fixture
async def seeded(database: Database, database_url: str, tmp_path: Path) -> AsyncGenerator[Seeded]:
    owners = [await make_principal(database, name) for name in "abcdef"]
    async with open_test_services(database_url, tmp_path) as services:
        api = Api(await asyncio.to_thread(build_schema, services.settings), services)
        places = [await _fill(services, owner, database, 1 if number else COUNT) for number, owner in enumerate(owners)]
        roles = {workspace: role for owner in owners for workspace, role in owner.roles.items()}
        yield Seeded(api, replace(owners[0], roles=roles), places[0])


async def _fill(services: Services, owner: Principal, database: Database, count: int) -> dict[str, str]:
    """Make some of everything in the workspace of a person."""
    for number in range(count):
        await services.secrets.create(owner, None, f"S{number}", "value", None)
        chat = ConnectionDraft(f"c{number}", OpenaiCompatibleSettings("https://models.example.com/v1"))
        await services.connections.create(owner, None, chat)
        made = await services.collections.create(owner, None, CollectionDraft(f"c{number}"))
        texts = [NewDocument(str(one), f"Text {one}", {"lang": "en"}) for one in range(2)]
        await services.documents.upsert(owner, made.id, texts)
        columns = [DataColumn("price", ColumnType.NUMERIC, description=f"Of table {number}")]
        table = await services.data_tables.create(owner, None, f"t{number}", columns)
        await write_row(database, table, {"price": "1.5"})
    workflows = [await _workflow(services, owner, f"w{number}") for number in range(count)]
    for one in workflows:
        await services.webhooks.create(owner, one.id, "shop", is_signed=False)
    runs = [(await services.runs.start(owner, one.id, None)).id for one in workflows]
    await until(lambda: _have_asked(services, runs))
    workspace: WorkspaceId = owner.workspace(None)
    return {
        "workspace": to_global(Prefix.WORKSPACE, workspace),
        "workflow": to_global(Prefix.WORKFLOW, workflows[0].id),
        "run": to_global(Prefix.RUN, runs[0]),
    }


async def _workflow(services: Services, owner: Principal, name: str) -> Workflow:
    """Make a workflow that computes twice and then asks, and publish it twice."""
    step = {"transform": {"fields": [{"name": "one", "value": 1}]}}
    nodes = [GraphNode(key=key, config=step) for key in ("step", "last")]
    nodes.append(GraphNode(key="ask", config={"approval": {"title": name}}))
    edges = (GraphEdge(source="step", target="last"), GraphEdge(source="last", target="ask"))
    draft = WorkflowDraft(name, definition=Definition(graph=Graph(nodes=tuple(nodes[:1]))))
    workflow = await services.workflows.create(owner, None, draft)
    await services.versions.publish(owner, workflow.id, workflow.revision, None)
    whole = Graph(nodes=tuple(nodes), edges=edges)
    changed = await services.workflows.update(owner, workflow.id, 1, WorkflowChange(graph=whole))
    await services.versions.publish(owner, changed.id, changed.revision, None)
    return changed


async def _have_asked(services: Services, run_ids: list[RunId]) -> bool:
    return all((await services.approvals.count_by_run(run_ids)).values())


async def asked(seeded: Seeded, query: str, **values: Any) -> tuple[Any, list[str]]:
    """Return the data and the statements."""
    names = {name: kind for name, kind in KINDS.items() if f"${name}" in query}
    head = ", ".join(f"${name}: {kind}" for name, kind in names.items())
    given = {name: value for name, value in (seeded.values | values).items() if name in names}
    with counting(with_driver=True) as statements:
        answer = await seeded.api.run(f"query ({head}) {query}", given, caller=seeded.caller)
    assert answer.errors == []
    return answer.data, statements.texts


KINDS = {"n": "Int!", "workspace": "ID!", "workflow": "ID!", "run": "ID!", "ids": "[ID!]!"}


async def test_a_query_of_a_user_interface_takes_as_many_statements_for_fifty_objects_as_for_one(
    seeded: Seeded,
) -> None:
    for name, query in QUERIES.items():
        # What is remembered, such as definitions of graphs, is remembered by now.
        many, _ = await asked(seeded, query, n=50)
        one, for_one = await asked(seeded, query, n=1)
        _, for_many = await asked(seeded, query, n=50)
        assert len(str(many)) > len(str(one)), name
        told = "\n".join([name, *for_one, "--", *for_many])
        assert abs(len(for_many) - len(for_one)) <= MEETINGS < COUNT - 1, told


NODES = "{ nodes(ids: $ids) { __typename id } }"
LISTS = """{ workspace(id: $workspace) {
  secrets { nodes { id } } connections { nodes { id } } dataTables { nodes { id rows { nodes { id } } } }
  collections { nodes { id } } webhooks { nodes { id } } workflows { nodes { id } } runs { nodes { id nodeRuns { nodes { id } } } }
} }"""


async def test_objects_of_a_kind_are_fetched_again_in_as_many_statements_for_many_as_for_one(seeded: Seeded) -> None:
    found, _ = await asked(seeded, LISTS)
    workspace = found["workspace"]
    ids = {name: [node["id"] for node in listed["nodes"]] for name, listed in workspace.items()}
    ids["rows"] = [row["id"] for table in workspace["dataTables"]["nodes"] for row in table["rows"]["nodes"]]
    ids["node runs"] = [node["id"] for run in workspace["runs"]["nodes"] for node in run["nodeRuns"]["nodes"]]
    for name, its in ids.items():
        await asked(seeded, NODES, ids=its)
        one, for_one = await asked(seeded, NODES, ids=its[:1])
        many, for_many = await asked(seeded, NODES, ids=its)
        assert ([node["id"] for node in one["nodes"]], [node["id"] for node in many["nodes"]]) == (its[:1], its), name
        assert len(its) >= COUNT
        assert len(for_many) == len(for_one), name
