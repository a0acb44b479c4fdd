from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.document import load
from domain.ids import Prefix, to_global
from tests.support.identity import make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Answer, Api


GRAPH = """
fragment Everything on Workflow {
  id slug name description revision isRunnable inputSchema output { name value } document createdAt updatedAt
  updatedBy { name } workspace { id }
  settings { timeoutMs maxParallelNodes failurePolicy concurrency { key maxRuns strategy } maxToolRounds maxTokens maxCost }
  graph {
    nodes {
      key name kind configInput ports position { x y } when join
      forEach { items maxParallelItems onItemError } onError { mode defaultOutput }
      retry { maximumAttempts initialIntervalMs backoffCoefficient maximumIntervalMs hasJitter nonRetryableErrors }
      timeouts { startToCloseMs scheduleToCloseMs idleMs }
      config {
        __typename
        ... on HttpRequestConfig { method url headers { name value } body { json text form { name } } expectStatus }
        ... on LlmCallConfig { connection prompt messages { role content } responseFormat stop }
        ... on FaissSearchConfig { collection searchText searchVector topK filter scoreThreshold searchMode }
      ... on DbWriteConfig {
          target { dataTable externalTable { connection table } } writeMode values { column value } conflictColumns returning
        }
      ... on FaissUpsertConfig { collection documents text metadata externalId }
      ... on BranchConfig { cases { name when } }
      ... on WaitConfig { durationMs until }
      ... on ApprovalConfig { title message form actions timeoutMs assignees }
      ... on SubworkflowConfig { workflow version { track number } subInput }
      ... on TransformConfig { fields { name value } }
      }
    }
    edges { source sourcePort target }
  }
  problems { severity code nodeKey edge { source sourcePort target } path message hint }
}
"""
ERRORS = """
fragment Problem on UserError {
  __typename message code path
  ... on GraphProblemsError { problems { severity code nodeKey edge { source sourcePort target } path message hint } }
  ... on ConflictError { currentRevision changedBy { name } }
  ... on LimitError { limit actual }
}
"""
CREATE = (
    "mutation ($input: CreateWorkflowInput!) { createWorkflow(input: $input) "
    "{ workflow { ...Everything } userErrors { ...Problem } } }" + GRAPH + ERRORS
)
UPDATE = (
    "mutation ($input: UpdateWorkflowInput!) { updateWorkflow(input: $input) "
    "{ workflow { ...Everything } userErrors { ...Problem } } }" + GRAPH + ERRORS
)
READ = "query ($id: ID!) { workflow(id: $id) { ...Everything } }" + GRAPH
DELETE = (
    "mutation ($id: ID!) { deleteWorkflow(input: { id: $id }) { deletedWorkflowId userErrors { ...Problem } } }"
    + ERRORS
)
VALIDATE = "query ($graph: GraphInput!) { validateGraph(graph: $graph) { severity code nodeKey path message hint } }"

FETCH = {"key": "fetch", "config": {"httpRequest": {"url": "https://example.com/facts.json"}}}
TELL = {
    "key": "tell",
    "name": "Tell the tale",
    "config": {"transform": {"fields": [{"name": "status", "value": "{{ nodes.fetch.output.status }}"}]}},
    "position": {"x": 200, "y": 0.5},
    "when": "input.isOn",
    "retry": {"maximumAttempts": 1},
    "timeouts": {"startToCloseMs": None},
    "onError": {"mode": "CONTINUE", "defaultOutput": {"status": 0}},
}
GOOD = {"nodes": [FETCH, TELL], "edges": [{"source": "fetch", "target": "tell"}]}


def ok(answer: Answer, field: str) -> Any:
    assert answer.errors == []
    assert answer.data[field]["userErrors"] == []
    return answer.data[field]["workflow"]


def refusal(answer: Answer, field: str) -> Any:
    assert answer.errors == []
    assert answer.data[field].get("workflow") is None
    (error,) = answer.data[field]["userErrors"]
    return error


async def create(api: Api, caller: Principal, **given: Any) -> Any:
    return ok(
        await api.run(CREATE, {"input": {"name": "Tale", "graph": GOOD, **given}}, caller=caller), "createWorkflow"
    )


# ── writing and reading ──


async def test_a_workflow_is_given_back_as_it_was_written(api: Api, ada: Principal) -> None:
    made = await create(
        api, ada, description="A tale.", inputSchema={"type": "object"},
        output=[{"name": "status", "value": "{{ nodes.tell.output.status }}"}], settings={"timeoutMs": 60_000},
    )  # fmt: skip
    assert (made["slug"], made["revision"], made["isRunnable"], made["problems"]) == ("tale", 1, True, [])
    assert made["updatedBy"] == {"name": "ada"}
    fetch, tell = made["graph"]["nodes"]
    assert (fetch["kind"], fetch["name"], fetch["ports"], fetch["position"]) == ("HTTP_REQUEST", "fetch", ["out"], None)
    assert fetch["configInput"] == FETCH["config"]
    assert fetch["config"]["__typename"] == "HttpRequestConfig"
    assert (fetch["config"]["method"], fetch["config"]["headers"]) == ("GET", [])
    assert fetch["retry"] == {
        "maximumAttempts": 3, "initialIntervalMs": 1000, "backoffCoefficient": 2.0, "maximumIntervalMs": 100_000,
        "hasJitter": True, "nonRetryableErrors": [],
    }  # fmt: skip
    assert (tell["name"], tell["position"], tell["when"]) == ("Tell the tale", {"x": 200.0, "y": 0.5}, "input.isOn")
    assert tell["timeouts"] == {"startToCloseMs": None, "scheduleToCloseMs": None, "idleMs": None}
    assert tell["onError"] == {"mode": "CONTINUE", "defaultOutput": {"status": 0}}
    assert made["graph"]["edges"] == [{"source": "fetch", "sourcePort": "out", "target": "tell"}]
    assert made["settings"]["timeoutMs"] == 60_000
    answer = await api.run(READ, {"id": made["id"]}, caller=ada)
    assert answer.data["workflow"] == made


async def test_the_document_of_a_workflow_makes_the_same_workflow(api: Api, ada: Principal) -> None:
    made = await create(api, ada, settings={"failurePolicy": "FINISH_BRANCHES"})
    document = load(made["document"])
    again = ok(await api.run(CREATE, {"input": {**document.to_input(), "slug": "again"}}, caller=ada), "createWorkflow")
    assert again["document"] == made["document"].replace("slug: tale", "slug: again")
    assert again["graph"] == made["graph"]


async def test_a_node_can_be_sent_back_as_it_came(api: Api, ada: Principal) -> None:
    made = await create(api, ada)
    nodes = [
        {**{key: node[key] for key in ("key", "position", "when", "join", "forEach", "onError", "retry", "timeouts")},
         "name": node["name"], "config": node["configInput"]}
        for node in made["graph"]["nodes"]
    ]  # fmt: skip
    change = {"id": made["id"], "expectedRevision": 1, "graph": {"nodes": nodes, "edges": made["graph"]["edges"]}}
    changed = ok(await api.run(UPDATE, {"input": change}, caller=ada), "updateWorkflow")
    assert changed["revision"] == 2
    assert changed["graph"] == made["graph"]


async def test_what_is_absent_stays_and_null_clears(api: Api, ada: Principal) -> None:
    made = await create(api, ada, description="Long.", inputSchema={}, settings={"timeoutMs": 5, "maxParallelNodes": 3})
    change = {"id": made["id"], "expectedRevision": 1, "name": "Saga", "settings": {"timeoutMs": None}}
    changed = ok(await api.run(UPDATE, {"input": change}, caller=ada), "updateWorkflow")
    assert (changed["name"], changed["slug"], changed["description"]) == ("Saga", "tale", "Long.")
    assert (changed["settings"]["timeoutMs"], changed["settings"]["maxParallelNodes"]) == (None, 3)
    assert changed["graph"] == made["graph"]
    change = {
        "id": made["id"],
        "expectedRevision": 2,
        "description": None,
        "inputSchema": None,
        "graph": None,
        "settings": None,
    }
    cleared = ok(await api.run(UPDATE, {"input": change}, caller=ada), "updateWorkflow")
    assert (cleared["description"], cleared["inputSchema"], cleared["graph"]) == (
        None,
        None,
        {"nodes": [], "edges": []},
    )
    assert cleared["settings"]["maxParallelNodes"] == 16


@pytest.mark.parametrize("is_variable", [True, False])
async def test_null_for_what_cannot_be_null_is_refused_in_words_of_graphql(
    api: Api, ada: Principal, is_variable: bool
) -> None:
    made = await create(api, ada)
    if is_variable:
        change = {"id": made["id"], "expectedRevision": 1, "name": None}
        answer = await api.run(UPDATE, {"input": change}, caller=ada)
    else:
        literal = f'mutation {{ updateWorkflow(input: {{id: "{made["id"]}", expectedRevision: 1, name: null}}) {{ workflow {{ name }} }} }}'
        answer = await api.run(literal, caller=ada)
    (error,) = answer.errors
    named = "`$input.name`" if is_variable else "`name`"
    assert error["message"] == f"{named} cannot be null: give a value, or leave it out and it stays as it is."
    assert error["extensions"]["code"] == ("BAD_USER_INPUT" if is_variable else "GRAPHQL_VALIDATION_FAILED")


async def test_workflows_are_listed_page_by_page_in_the_wanted_order(api: Api, ada: Principal) -> None:
    for name in ("Alpha", "Gamma", "Beta"):
        await create(api, ada, name=name)
    await create(api, ada, name="Broken", graph={"nodes": [{**TELL}], "edges": []})
    listed = "query ($f: WorkflowFilter, $o: WorkflowOrder, $n: Int, $a: String) { workflows(filter: $f, orderBy: $o, first: $n, after: $a) { totalCount pageInfo { hasNextPage endCursor } nodes { slug } } }"
    page = (await api.run(listed, {"n": 3}, caller=ada)).data["workflows"]
    assert ([node["slug"] for node in page["nodes"]], page["totalCount"]) == (["alpha", "beta", "broken"], 4)
    rest = (await api.run(listed, {"n": 3, "a": page["pageInfo"]["endCursor"]}, caller=ada)).data["workflows"]
    assert ([node["slug"] for node in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["gamma"], False)
    newest = {"o": {"field": "CREATED_AT", "direction": "DESC"}, "f": {"isRunnable": True}}
    page = (await api.run(listed, newest, caller=ada)).data["workflows"]
    assert ([node["slug"] for node in page["nodes"]], page["totalCount"]) == (["beta", "gamma", "alpha"], 3)
    page = (await api.run(listed, {"f": {"search": "AMM"}}, caller=ada)).data["workflows"]
    assert [node["slug"] for node in page["nodes"]] == ["gamma"]
    in_workspace = 'query ($id: ID!) { workspace(id: $id) { workflow(slug: "beta") { name } none: workflow(slug: "x") { name } workflows(first: 1) { nodes { slug } } } }'
    workspace = (
        await api.run(in_workspace, {"id": to_global(Prefix.WORKSPACE, next(iter(ada.roles)))}, caller=ada)
    ).data
    assert workspace["workspace"] == {
        "workflow": {"name": "Beta"},
        "none": None,
        "workflows": {"nodes": [{"slug": "alpha"}]},
    }


async def test_a_deleted_workflow_is_gone(api: Api, ada: Principal) -> None:
    made = await create(api, ada)
    answer = await api.run(DELETE, {"id": made["id"]}, caller=ada)
    assert answer.data["deleteWorkflow"] == {"deletedWorkflowId": made["id"], "userErrors": []}
    assert (await api.run(READ, {"id": made["id"]}, caller=ada)).data["workflow"] is None
    assert refusal(await api.run(DELETE, {"id": made["id"]}, caller=ada), "deleteWorkflow")["code"] == "NOT_FOUND"


# ── what is refused ──


STRUCTURAL: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    (
        "CYCLE",
        {"nodes": [FETCH, TELL], "edges": [{"source": "fetch", "target": "tell"}, {"source": "tell", "target": "fetch"}]},
        ("fetch", [], None),
    ),
    (
        "DANGLING_EDGE",
        {"nodes": [FETCH], "edges": [{"source": "fetch", "target": "tel"}]},
        (None, [], {"source": "fetch", "sourcePort": "out", "target": "tel"}),
    ),
    (
        "UNKNOWN_PORT",
        {"nodes": [FETCH, TELL], "edges": [{"source": "fetch", "target": "tell"}, {"source": "fetch", "sourcePort": "otu", "target": "tell"}]},
        (None, [], {"source": "fetch", "sourcePort": "otu", "target": "tell"}),
    ),
    (
        "TEMPLATE_SYNTAX",
        {"nodes": [{"key": "a", "config": {"httpRequest": {"url": "https://x/{{ input. }}"}}}], "edges": []},
        ("a", ["config", "httpRequest", "url"], None),
    ),
    (
        "INVALID_CONFIG",
        {"nodes": [{"key": "a", "config": {"llmCall": {"prompt": "x", "temperature": 3}}}], "edges": []},
        ("a", ["config", "llmCall", "temperature"], None),
    ),
    ("DUPLICATE_KEY", {"nodes": [FETCH, FETCH], "edges": []}, ("fetch", ["key"], None)),
    ("INVALID_KEY", {"nodes": [{**FETCH, "key": "not a key"}], "edges": []}, ("not a key", ["key"], None)),
    (
        "INVALID_VALUE",
        {"nodes": [{**FETCH, "retry": {"maximumAttempts": 0}}], "edges": []},
        ("fetch", ["retry", "maximumAttempts"], None),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "graph", "place"), STRUCTURAL, ids=[code for code, _, _ in STRUCTURAL])
async def test_a_graph_with_a_structural_problem_is_not_saved(
    api: Api, ada: Principal, code: str, graph: dict[str, Any], place: tuple[Any, ...]
) -> None:
    error = refusal(await api.run(CREATE, {"input": {"name": "x", "graph": graph}}, caller=ada), "createWorkflow")
    assert (error["__typename"], error["code"], error["path"]) == (
        "GraphProblemsError",
        "GRAPH_PROBLEMS",
        ["input", "graph"],
    )
    problem = error["problems"][0]
    assert (problem["code"], problem["severity"]) == (code, "ERROR")
    assert (problem["nodeKey"], problem["path"], problem["edge"]) == place
    assert (await api.run(VALIDATE, {"graph": graph}, caller=ada)).data["validateGraph"][0]["code"] == code
    assert (await api.run("{ workflows { totalCount } }", caller=ada)).data["workflows"]["totalCount"] == 0


async def test_a_field_that_a_kind_does_not_have_is_refused_by_graphql(api: Api, ada: Principal) -> None:
    graph = {"nodes": [{"key": "a", "config": {"httpRequest": {"url": "x", "urll": "y"}}}], "edges": []}
    answer = await api.run(CREATE, {"input": {"name": "x", "graph": graph}}, caller=ada)
    assert answer.data is None
    assert "urll" in answer.errors[0]["message"]


async def test_two_kinds_for_one_node_are_refused_by_graphql(api: Api, ada: Principal) -> None:
    config: Any = {"httpRequest": {"url": "x"}, "transform": {"fields": []}}
    answer = await api.run(
        CREATE, {"input": {"name": "x", "graph": {"nodes": [{"key": "a", "config": config}], "edges": []}}}, caller=ada
    )
    assert answer.data is None
    assert len(answer.errors) == 1


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("UNKNOWN_REFERENCE", "{{ nodes.gone.output }}"),
        ("NOT_AN_ANCESTOR", "{{ nodes.fetch.output }}"),
        ("SECRET_NOT_ALLOWED", "{{ secrets.KEY }}"),
    ],
)
async def test_a_reference_to_nothing_is_saved_as_a_problem(api: Api, ada: Principal, code: str, value: str) -> None:
    other = {"key": "other", "config": {"transform": {"fields": [{"name": "x", "value": value}]}}}
    made = await create(api, ada, graph={"nodes": [FETCH, other], "edges": []})
    (problem,) = made["problems"]
    assert (problem["code"], problem["nodeKey"], problem["path"]) == (
        code, "other", ["config", "transform", "fields", "0", "value"],
    )  # fmt: skip
    assert (made["isRunnable"], problem["severity"]) == (False, "ERROR")


async def test_a_stale_revision_is_a_conflict_that_tells_the_current_one(api: Api, ada: Principal) -> None:
    made = await create(api, ada)
    change = {"id": made["id"], "expectedRevision": 1, "name": "First"}
    ok(await api.run(UPDATE, {"input": change}, caller=ada), "updateWorkflow")
    error = refusal(await api.run(UPDATE, {"input": {**change, "name": "Second"}}, caller=ada), "updateWorkflow")
    assert (error["__typename"], error["code"], error["path"]) == (
        "ConflictError",
        "CONFLICT",
        ["input", "expectedRevision"],
    )
    assert (error["currentRevision"], error["changedBy"]) == (2, {"name": "ada"})
    assert (await api.run(READ, {"id": made["id"]}, caller=ada)).data["workflow"]["name"] == "First"


async def test_the_workflow_of_someone_else_does_not_exist(api: Api, ada: Principal, database: Database) -> None:
    made = await create(api, ada)
    eve = await make_principal(database, "eve")
    unknown = made["id"][:-1] + ("0" if made["id"][-1] != "0" else "1")
    for foreign in (made["id"], unknown):
        assert (await api.run(READ, {"id": foreign}, caller=eve)).data["workflow"] is None
        change = {"id": foreign, "expectedRevision": 1, "name": "Mine"}
        errors = [
            refusal(await api.run(UPDATE, {"input": change}, caller=eve), "updateWorkflow"),
            refusal(await api.run(DELETE, {"id": foreign}, caller=eve), "deleteWorkflow"),
        ]
        assert [(error["code"], error["path"], error["message"]) for error in errors] == [
            ("NOT_FOUND", ["input", "id"], "There is no workflow with this id.")
        ] * 2
    assert (await api.run(READ, {"id": made["id"]}, caller=ada)).data["workflow"] == made


async def test_nobody_reads_or_writes_workflows_without_signing_in(api: Api) -> None:
    for document, variables in (
        (CREATE, {"input": {"name": "x"}}),
        ("{ workflows { totalCount } }", {}),
        (VALIDATE, {"graph": GOOD}),
    ):
        assert (await api.run(document, variables)).codes == ["UNAUTHENTICATED"]


async def test_a_taken_slug_is_refused_and_one_made_from_the_name_evades_it(api: Api, ada: Principal) -> None:
    assert [(await create(api, ada))["slug"] for _ in range(3)] == ["tale", "tale-2", "tale-3"]
    error = refusal(await api.run(CREATE, {"input": {"name": "x", "slug": "tale"}}, caller=ada), "createWorkflow")
    assert (error["code"], error["path"]) == ("ALREADY_EXISTS", ["input", "slug"])


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"name": " "}, "INVALID_INPUT", ["input", "name"]),
        ({"name": "x", "slug": "No Slug"}, "INVALID_INPUT", ["input", "slug"]),
        ({"name": "x", "inputSchema": {"type": "objekt"}}, "INVALID_INPUT", ["input", "inputSchema", "type"]),
        ({"name": "x", "inputSchema": {"$ref": "http://127.0.0.1:1/"}}, "INVALID_INPUT", ["input", "inputSchema"]),
        (
            {"name": "x", "settings": {"maxParallelNodes": 0}},
            "INVALID_INPUT",
            ["input", "settings", "maxParallelNodes"],
        ),
        ({"name": "x", "output": [{"name": "a"}, {"name": "a"}]}, "INVALID_INPUT", ["input"]),
        ({"name": "x", "graph": {"nodes": [FETCH] * 501, "edges": []}}, "LIMIT_EXCEEDED", ["input", "graph", "nodes"]),
        ({"name": "x", "output": [{"name": "a", "value": {"deep": "\u0000"}}]}, "INVALID_INPUT", ["input"]),
    ],
)
async def test_what_no_workflow_can_hold_is_refused_with_its_path(
    api: Api, ada: Principal, given: dict[str, Any], code: str, path: list[str]
) -> None:
    error = refusal(await api.run(CREATE, {"input": given}, caller=ada), "createWorkflow")
    assert (error["code"], error["path"]) == (code, path)


async def test_a_problem_about_a_missing_secret_is_over_when_the_secret_is_there(api: Api, ada: Principal) -> None:
    config = {"httpRequest": {"url": "https://x", "headers": [{"name": "k", "value": "{{ secrets.KEY }}"}]}}
    made = await create(api, ada, graph={"nodes": [{"key": "a", "config": config}], "edges": []})
    assert [problem["code"] for problem in made["problems"]] == ["UNKNOWN_SECRET"]
    await api.run('mutation { createSecret(input: { name: "KEY", value: "v" }) { userErrors { code } } }', caller=ada)
    read = (await api.run(READ, {"id": made["id"]}, caller=ada)).data["workflow"]
    assert (read["isRunnable"], read["problems"], read["revision"]) == (True, [], 1)
    listed = (await api.run("{ workflows(filter: { isRunnable: true }) { totalCount } }", caller=ada)).data
    assert listed["workflows"]["totalCount"] == 1
