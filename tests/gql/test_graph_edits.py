from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from domain.identity import Role
from domain.ids import Prefix, to_global
from gql.schema import build_schema
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.query_count import counting
from tests.support.services import open_test_services, settings_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from persistence.database import Database

STATE = """
fragment State on Workflow {
  id revision problems { code nodeKey path } output { name value }
  graph { nodes { key name configInput when position { x y } join onError { mode } } edges { source sourcePort target } }
}
"""
PROBLEM = """
fragment Problem on UserError {
  __typename message code path
  ... on ConflictError { currentRevision changedBy { name } }
  ... on GraphProblemsError { problems { code nodeKey message hint } }
  ... on LimitError { limit actual }
}
"""
EDITS = {
    "addNode": "node { key ports position { x y } }",
    "updateNode": "node { key name }",
    "removeNode": "removedNodeKey",
    "connectNodes": "edge { source sourcePort target }",
    "disconnectNodes": "removedEdge { source sourcePort target }",
    "moveNodes": "",
}
CREATE = (
    "mutation ($input: CreateWorkflowInput!) { createWorkflow(input: $input) { workflow { ...State }"
    " userErrors { ...Problem } } }" + STATE + PROBLEM
)
READ = "query ($id: ID!) { workflow(id: $id) { ...State } }" + STATE
WHO = "query ($id: ID!) { workflow(id: $id) { updatedBy { name } document } }"


def transform(value: Any = 1) -> dict[str, Any]:
    return {"transform": {"fields": [{"name": "v", "value": value}]}}


GRAPH = {
    "nodes": [
        {"key": "a", "config": transform(), "position": {"x": 1, "y": 2}},
        {"key": "b", "config": transform("{{ nodes.a.output.v }} and nodes.a")},
        {"key": "c", "config": transform(), "when": "nodes['a'].output.v == 1"},
    ],
    "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}],
}


class Desk:
    """A workflow of Ada's, and the edits that she makes to it."""

    def __init__(self, database: Database, api: Api, ada: Principal, made: Any) -> None:
        self.database = database
        self.api = api
        self.ada = ada
        self.made = made
        self.id = made["id"]

    async def read(self) -> Any:
        answer = await self.api.run(READ, {"id": self.id}, caller=self.ada)
        return answer.data["workflow"]

    async def ask(self, field: str, caller: Principal | None = None, **given: Any) -> Any:
        """Ask for an edit of revision 1, if nothing else is said."""
        if field != "moveNodes":
            given = {"expectedRevision": 1, **given}
        kind = f"{field[:1].upper()}{field[1:]}Input!"
        document = (
            f"mutation ($input: {kind}) {{ {field}(input: $input) {{ {EDITS[field]} workflow {{ ...State }}"
            f" userErrors {{ ...Problem }} }} }}{STATE}{PROBLEM}"
        )
        answer = await self.api.run(document, {"input": {"workflowId": self.id, **given}}, caller=caller or self.ada)
        assert answer.errors == []
        return answer.data[field]

    async def edit(self, field: str, **given: Any) -> Any:
        payload = await self.ask(field, **given)
        assert payload["userErrors"] == []
        assert payload["workflow"] == await self.read()
        return payload

    async def refusal(self, field: str, caller: Principal | None = None, **given: Any) -> Any:
        before = await self.read()
        payload = await self.ask(field, caller, **given)
        assert await self.read() == before
        assert [value for key, value in payload.items() if key != "userErrors" and value is not None] == []
        (error,) = payload["userErrors"]
        return error


@pytest.fixture
async def desk(database: Database, database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    ada = await make_principal(database, "ada")
    async with open_test_services(database_url, tmp_path) as services:
        api = Api(await asyncio.to_thread(build_schema, settings_on(database_url, tmp_path)), services)
        given = {"name": "Tale", "graph": GRAPH, "output": [{"name": "r", "value": "{{ nodes.a.output.v }}"}]}
        made = await api.run(CREATE, {"input": given}, caller=ada)
        assert made.data["createWorkflow"]["userErrors"] == []
        yield Desk(database, api, ada, made.data["createWorkflow"]["workflow"])


def keys(payload: Any) -> list[str]:
    return [node["key"] for node in payload["workflow"]["graph"]["nodes"]]


def positions(workflow: Any) -> dict[str, Any]:
    return {node["key"]: node["position"] for node in workflow["graph"]["nodes"]}


async def test_a_node_is_added_with_its_place(desk: Desk) -> None:
    config = {"httpRequest": {"url": "https://x/{{ nodes.nowhere.output }}"}}
    payload = await desk.edit("addNode", node={"key": "d", "config": config, "position": {"x": 3, "y": -1.5}})
    assert payload["node"] == {"key": "d", "ports": ["out"], "position": {"x": 3, "y": -1.5}}
    assert (keys(payload), payload["workflow"]["revision"]) == (["a", "b", "c", "d"], 2)
    # What is wrong with it is told with the answer.
    assert payload["workflow"]["problems"] == [
        {"code": "UNKNOWN_REFERENCE", "nodeKey": "d", "path": ["config", "httpRequest", "url"]}
    ]


async def test_a_node_is_changed_where_something_is_said(desk: Desk) -> None:
    payload = await desk.edit("updateNode", key="c", name="See", onError={"mode": "CONTINUE"})
    (changed,) = [node for node in payload["workflow"]["graph"]["nodes"] if node["key"] == "c"]
    assert payload["node"] == {"key": "c", "name": "See"}
    before = desk.made["graph"]["nodes"][2]
    assert changed == {**before, "name": "See", "onError": {"mode": "CONTINUE"}}
    bare = await desk.edit("updateNode", expectedRevision=2, key="c", name=None, when=None, onError=None)
    assert bare["workflow"]["graph"]["nodes"][2] == {**before, "when": None}
    other = {"httpRequest": {"url": "https://x"}}
    swapped = await desk.edit("updateNode", expectedRevision=3, key="a", config=other, join="ANY")
    a = swapped["workflow"]["graph"]["nodes"][0]
    assert (a["configInput"], a["join"], a["position"]) == (other, "ANY", {"x": 1, "y": 2})


async def test_a_node_is_renamed_with_all_that_names_it(desk: Desk) -> None:
    renamed = await desk.edit("updateNode", key="a", newKey="first")
    workflow = renamed["workflow"]
    assert renamed["node"] == {"key": "first", "name": "first"}
    assert (workflow["revision"], workflow["problems"], keys(renamed)) == (2, [], ["first", "b", "c"])
    assert workflow["graph"]["nodes"][1]["configInput"] == transform("{{ nodes.first.output.v }} and nodes.a")
    assert workflow["graph"]["nodes"][2]["when"] == "nodes['first'].output.v == 1"
    assert workflow["output"] == [{"name": "r", "value": "{{ nodes.first.output.v }}"}]
    assert workflow["graph"]["edges"][0] == {"source": "first", "sourcePort": "out", "target": "b"}
    assert positions(workflow) == {"first": {"x": 1, "y": 2}, "b": None, "c": None}
    # A node that takes the old key later does not take the old place.
    added = await desk.edit("addNode", expectedRevision=2, node={"key": "a", "config": transform()})
    assert positions(added["workflow"])["a"] is None


async def test_a_node_is_removed_with_its_edges_and_its_place(desk: Desk) -> None:
    payload = await desk.edit("removeNode", key="a")
    workflow = payload["workflow"]
    assert (payload["removedNodeKey"], keys(payload), workflow["revision"]) == ("a", ["b", "c"], 2)
    assert workflow["graph"]["edges"] == [{"source": "b", "sourcePort": "out", "target": "c"}]
    assert {(one["code"], one["nodeKey"]) for one in workflow["problems"]} == {
        ("UNKNOWN_REFERENCE", "b"), ("UNKNOWN_REFERENCE", "c"), ("UNKNOWN_REFERENCE", None),
    }  # fmt: skip
    added = await desk.edit("addNode", expectedRevision=2, node={"key": "a", "config": transform()})
    assert positions(added["workflow"])["a"] is None


async def test_edges_are_added_and_removed(desk: Desk) -> None:
    edge = {"source": "a", "target": "c"}
    told = {**edge, "sourcePort": "out"}
    added = await desk.edit("connectNodes", **edge)
    assert (added["edge"], added["workflow"]["graph"]["edges"][-1], added["workflow"]["revision"]) == (told, told, 2)
    removed = await desk.edit("disconnectNodes", expectedRevision=2, **edge)
    assert removed["removedEdge"] == told
    assert removed["workflow"]["graph"] == desk.made["graph"]


async def test_moving_changes_where_nodes_are_and_nothing_else(desk: Desk) -> None:
    before = await desk.api.run(WHO, {"id": desk.id}, caller=desk.ada)
    editor = await _editor(desk)
    moved = await desk.ask(
        "moveNodes", editor, positions=[{"key": "b", "x": 9, "y": 8}, {"key": "a", "x": 0, "y": 0}, {"key": "a", "x": 5, "y": 5}]
    )  # fmt: skip
    assert moved["userErrors"] == []
    assert positions(moved["workflow"]) == {"a": {"x": 5, "y": 5}, "b": {"x": 9, "y": 8}, "c": None}
    bare = [{**node, "position": None} for node in moved["workflow"]["graph"]["nodes"]]
    assert bare == [{**node, "position": None} for node in desk.made["graph"]["nodes"]]
    assert moved["workflow"]["revision"] == 1
    after = await desk.api.run(WHO, {"id": desk.id}, caller=desk.ada)
    assert after.data["workflow"]["updatedBy"] == before.data["workflow"]["updatedBy"]
    assert after.data["workflow"]["document"].endswith("layout:\n  a: [5, 5]\n  b: [9, 8]\n")
    assert (await desk.ask("moveNodes", positions=[]))["workflow"] == moved["workflow"]


async def test_an_edit_after_a_move_keeps_the_move_though_it_was_made_before_it(desk: Desk) -> None:
    await desk.edit("moveNodes", positions=[{"key": "c", "x": 7, "y": 7}])
    edited = await desk.edit("updateNode", key="a", name="A")
    assert positions(edited["workflow"]) == {"a": {"x": 1, "y": 2}, "b": None, "c": {"x": 7, "y": 7}}


async def test_moves_and_edits_at_the_same_time_lose_nothing_of_each_other(desk: Desk) -> None:
    async def edit() -> None:
        for revision in range(1, 11):
            await desk.ask("updateNode", expectedRevision=revision, key="a", name=f"n{revision}")

    async def move(key: str) -> None:
        for x in range(10):
            await desk.ask("moveNodes", positions=[{"key": key, "x": x, "y": 0}])

    await asyncio.gather(edit(), move("a"), move("b"), move("c"))
    workflow = await desk.read()
    assert (workflow["revision"], workflow["graph"]["nodes"][0]["name"]) == (11, "n10")
    assert positions(workflow) == {key: {"x": 9, "y": 0} for key in "abc"}


async def test_whoever_edits_an_older_revision_is_told_the_current_one_and_whose_it_is(desk: Desk) -> None:
    editor = await _editor(desk)
    assert (await desk.ask("updateNode", editor, key="a", name="A"))["userErrors"] == []
    edits: dict[str, dict[str, Any]] = {
        "addNode": {"node": {"key": "d", "config": transform()}},
        "updateNode": {"key": "a", "name": "B"},
        "removeNode": {"key": "a"},
        "connectNodes": {"source": "a", "target": "c"},
        "disconnectNodes": {"source": "a", "target": "b"},
    }
    for field, given in edits.items():
        error = await desk.refusal(field, **given)
        assert (error["__typename"], error["path"]) == ("ConflictError", ["input", "expectedRevision"]), field
        assert (error["currentRevision"], error["changedBy"]) == (2, {"name": "ed"}), field


@pytest.mark.parametrize(
    ("field", "given", "code", "path", "message"),
    [
        ("addNode", {"node": {"key": "a", "config": transform()}}, "ALREADY_EXISTS", ["input", "node", "key"], "`a`"),
        ("updateNode", {"key": "x"}, "NOT_FOUND", ["input", "key"], "There is no node `x`."),
        ("updateNode", {"key": "a", "newKey": "b"}, "ALREADY_EXISTS", ["input", "newKey"], "There is a node `b` already"),
        ("removeNode", {"key": "x"}, "NOT_FOUND", ["input", "key"], "There is no node `x`."),
        ("connectNodes", {"source": "x", "target": "a"}, "NOT_FOUND", ["input", "source"], "There is no node `x`."),
        ("connectNodes", {"source": "a", "target": "x"}, "NOT_FOUND", ["input", "target"], "There is no node `x`."),
        ("connectNodes", {"source": "a", "target": "b"}, "ALREADY_EXISTS", ["input"], "`a -> b` is there already"),
        ("disconnectNodes", {"source": "a", "target": "c"}, "NOT_FOUND", ["input"], "There is no edge `a -> c`."),
        (
            "moveNodes", {"positions": [{"key": "a", "x": 9, "y": 9}, {"key": "x", "x": 1, "y": 1}]}, "NOT_FOUND",
            ["input", "positions", "1", "key"], "There is no node `x`.",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_told_and_changes_nothing(  # noqa: PLR0917 -- one for each column
    desk: Desk, field: str, given: dict[str, Any], code: str, path: list[str], message: str
) -> None:
    error = await desk.refusal(field, **given)
    assert (error["code"], error["path"]) == (code, path)
    assert message in error["message"]


@pytest.mark.parametrize(
    ("field", "given", "code", "hint"),
    [
        ("connectNodes", {"source": "c", "target": "a"}, "CYCLE", "Remove one of these edges"),
        ("connectNodes", {"source": "a", "sourcePort": "error", "target": "c"}, "UNKNOWN_PORT", "`onError.mode`"),
        ("addNode", {"node": {"key": "d", "config": transform("{{ ")}}, "TEMPLATE_SYNTAX", None),
        ("addNode", {"node": {"key": "1", "config": transform()}}, "INVALID_KEY", "A key is a letter"),
        ("updateNode", {"key": "a", "newKey": "no good"}, "INVALID_KEY", "A key is a letter"),
        ("updateNode", {"key": "a", "retry": {"maximumAttempts": 0}}, "INVALID_VALUE", None),
    ],
)
async def test_a_graph_that_cannot_be_saved_is_refused_with_its_problems(
    desk: Desk, field: str, given: dict[str, Any], code: str, hint: str | None
) -> None:
    error = await desk.refusal(field, **given)
    assert error["__typename"] == "GraphProblemsError"
    assert error["problems"][0]["code"] == code
    assert hint is None or hint in error["problems"][0]["hint"]


async def test_more_positions_than_a_graph_has_nodes_are_refused(desk: Desk) -> None:
    error = await desk.refusal("moveNodes", positions=[{"key": f"n{n}", "x": 0, "y": 0} for n in range(501)])
    assert (error["__typename"], error["limit"], error["actual"]) == ("LimitError", 500, 501)


async def test_viewers_and_strangers_edit_nothing(desk: Desk, database: Database) -> None:
    viewer = replace(desk.ada, roles=dict.fromkeys(desk.ada.roles, Role.VIEWER))
    eve = await make_principal(database, "eve")
    for field, given in {
        "addNode": {"node": {"key": "d", "config": transform()}},
        "updateNode": {"key": "a", "name": "B"},
        "removeNode": {"key": "a"},
        "connectNodes": {"source": "a", "target": "c"},
        "disconnectNodes": {"source": "a", "target": "b"},
        "moveNodes": {"positions": [{"key": "a", "x": 9, "y": 9}]},
    }.items():
        assert (await desk.refusal(field, viewer, **given))["code"] == "FORBIDDEN", field
        error = await desk.refusal(field, eve, **given)
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["input", "workflowId"]), field
        unknown = to_global(Prefix.WORKFLOW, uuid7())
        assert await desk.refusal(field, eve, **given, workflowId=unknown) == error, field


async def test_an_edit_takes_as_many_statements_for_a_large_graph_as_for_a_small_one(desk: Desk) -> None:
    counts: list[int] = []
    for revision in range(1, 4):
        with counting() as statements:
            payload = await desk.ask(
                "addNode", expectedRevision=revision, node={"key": f"n{revision}", "config": transform()}
            )
        assert payload["userErrors"] == []
        counts.append(statements.count)
        with counting() as statements:
            await desk.ask("moveNodes", positions=[{"key": node, "x": 1, "y": 1} for node in keys(payload)])
        counts.append(statements.count)
    assert counts == counts[:2] * 3


async def _editor(desk: Desk) -> Principal:
    """Return somebody else who may write in Ada's workspace."""
    (workspace_id,) = desk.ada.roles
    ed = await make_principal(desk.database, "ed")
    async with desk.database.direct() as connection:
        await connection.execute(
            "INSERT INTO members (id, workspace_id, user_id, role) VALUES ($1, $2, $3, 'EDITOR')",
            uuid7(), workspace_id, ed.user.id,
        )  # fmt: skip
    return replace(ed, roles={workspace_id: Role.EDITOR})
