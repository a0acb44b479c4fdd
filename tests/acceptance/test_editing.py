"""Editors at once: up to 200 edits by four clients of two servers, and two who watch."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from domain.edits import Edited, add_node, connect, disconnect, remove_node, update_node
from domain.workflow import Definition, Graph, GraphEdge, GraphNode
from runtime.registry import load_registry
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Edit = Callable[[Definition], Edited]

CLIENTS = 4
KINDS = load_registry().names
READ = """
query($id: ID!) { workflow(id: $id) {
  revision
  graph { nodes { key name configInput when position { x y } } edges { source sourcePort target } } } }"""
TOGETHER = """
subscription Together($id: ID!) { workflowChanged(workflowId: $id) {
  kind revision nodeKeys at changedBy { name } workflow { id revision graph { nodes { key position { x y } } } } } }"""
START = GraphNode(key="n0", config={"transform": {"fields": [{"name": "v", "value": 0}]}})


@dataclass
class Change:
    """An edit as a client asks for it, and as the domain makes it."""

    field: str
    arguments: dict[str, Any]
    edit: Edit


@dataclass
class Editor:
    """A client that edits what it has read, and reads again when somebody else was first."""

    number: int
    caller: Caller
    workflow_id: str
    edits: int
    """How many it makes."""
    made: dict[int, Edit] = field(default_factory=dict[int, "Edit"])
    """Its edits by the revisions that they made."""
    conflicts: int = 0
    moves: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __post_init__(self) -> None:
        self.random = Random(self.number)

    async def work(self) -> None:
        while len(self.made) < self.edits:
            workflow = (await self.caller.ask(READ, id=self.workflow_id))["workflow"]
            change = self.change(workflow["graph"])
            payload = await self.send(change.field, {**change.arguments, "expectedRevision": workflow["revision"]})
            if not payload["userErrors"]:
                assert payload["workflow"]["revision"] == workflow["revision"] + 1
                self.made[payload["workflow"]["revision"]] = change.edit
                continue
            (error,) = payload["userErrors"]
            assert error["__typename"] == "ConflictError", error
            assert error["currentRevision"] > workflow["revision"]
            assert error["changedBy"] == {"name": "one"}
            self.conflicts += 1
            if self.conflicts % 5 == 0:
                await self.move(workflow["graph"]["nodes"])

    async def move(self, nodes: Sequence[dict[str, Any]]) -> None:
        """Move a node, which never conflicts, unless it is gone."""
        position = {"key": self.random.choice(nodes)["key"], "x": self.number, "y": len(self.moves)}
        payload = await self.send("moveNodes", {"positions": [position]})
        if payload["userErrors"]:
            assert payload["userErrors"][0]["__typename"] == "NotFoundError"
        else:
            self.moves.append(position)

    async def send(self, name: str, given: dict[str, Any]) -> Any:
        kind = f"{name[:1].upper()}{name[1:]}Input!"
        document = f"""mutation($i: {kind}) {{ {name}(input: $i) {{ workflow {{ revision }}
            userErrors {{ __typename message ... on ConflictError {{ currentRevision changedBy {{ name }} }} }} }} }}"""
        return (await self.caller.ask(document, i={"workflowId": self.workflow_id, **given}))[name]

    def change(self, graph: dict[str, Any]) -> Change:  # noqa: PLR0911 -- one for each kind of edit
        """Think of an edit that is possible at this revision."""
        keys = [node["key"] for node in graph["nodes"]]
        edges = [(edge["source"], edge["target"]) for edge in graph["edges"]]
        choice = self.random.random()
        if choice < 0.3 or len(keys) < 3:
            return self.addition(keys)
        key = self.random.choice(keys)
        if choice < 0.45:
            name = f"by {self.number}"
            return Change(
                "updateNode", {"key": key, "name": name}, lambda d: update_node(d, key, {"name": name}, None, KINDS)
            )
        if choice < 0.6:
            new = f"{key.partition('_')[0]}_{self.number}x{len(self.made)}"
            return Change("updateNode", {"key": key, "newKey": new}, lambda d: update_node(d, key, {}, new, KINDS))
        if choice < 0.7:
            return Change("removeNode", {"key": key}, lambda d: remove_node(d, key))
        if choice < 0.8 and edges:
            source, target = self.random.choice(edges)
            edge = GraphEdge(source=source, target=target)
            return Change("disconnectNodes", {"source": source, "target": target}, lambda d: disconnect(d, edge))
        source, target = sorted(self.random.sample(keys, 2), key=_rank)
        if _rank(source) == _rank(target) or (source, target) in edges:
            return self.addition(keys)
        edge = GraphEdge(source=source, target=target)
        return Change("connectNodes", {"source": source, "target": target}, lambda d: connect(d, edge))

    def addition(self, keys: list[str]) -> Change:
        key = f"n{1 + len(self.made) * CLIENTS + self.number}"
        named = self.random.choice(keys) if keys else "n0"
        config = {"transform": {"fields": [{"name": "v", "value": f"{{{{ nodes.{named}.output.v }}}} nodes.{named}"}]}}
        node = GraphNode(key=key, config=config)
        return Change("addNode", {"node": {"key": key, "config": config}}, lambda d: add_node(d, node))


def _rank(key: str) -> int:
    return int(key.partition("_")[0][1:])


class Watcher:
    """Whoever has the workflow open."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.news = asyncio.Event()

    async def watch(self, caller: Caller, workflow_id: str) -> None:
        async with aclosing(caller.subscribe(TOGETHER, id=workflow_id)) as answers:
            async for data in answers:
                self.told.append(data["workflowChanged"])
                self.news.set()

    async def begun(self, move: Callable[[], Any]) -> None:
        """Move a node until it is told: from then on everything is."""
        while not self.told:
            await move()
            try:
                async with asyncio.timeout(0.5):
                    await self.news.wait()
            except TimeoutError:
                continue


@pytest.mark.timeout(250)
@pytest.mark.parametrize("edits", [40, pytest.param(200, marks=pytest.mark.long)])
async def test_of_edits_by_four_clients_the_graph_is_the_serial_result_and_each_is_told_in_order(
    database_url: str, tmp_path: Path, edits: int
) -> None:
    settings = settings_on(database_url, tmp_path)
    async with (
        serving_anabranch(settings) as one,
        serving_anabranch(settings) as two,
        aiohttp.ClientSession() as session,
    ):
        caller = Caller(one, session)
        await caller.sign_up()
        graph = {"nodes": [{"key": "n0", "config": START.config}], "edges": []}
        workflow_id = await caller.create(name="Tale", graph=graph)
        editors = [
            Editor(number, Caller((one, two)[number % 2], session, caller.token), workflow_id, edits // CLIENTS)
            for number in range(CLIENTS)
        ]
        watchers = [Watcher() for _ in (one, two)]
        watching = [
            asyncio.create_task(
                watcher.watch(Caller(url, session, caller.token), workflow_id), name=f"watcher at {url}"
            )
            for watcher, url in zip(watchers, (one, two), strict=True)
        ]
        async with asyncio.timeout(240):
            for watcher in watchers:
                await watcher.begun(lambda: editors[0].move([{"key": "n0"}]))
            await asyncio.gather(*(editor.work() for editor in editors))
            final = (await caller.ask(READ, id=workflow_id))["workflow"]
            await caller.ask("mutation($i: DeleteWorkflowInput!) { deleteWorkflow(input: $i) { userErrors { message } } }", i={"id": workflow_id})  # fmt: skip
            # The streams complete by themselves.
            await asyncio.gather(*watching)

    # Each revision was made by one client, and the graph is what they make one after the other.
    made = {revision: edit for editor in editors for revision, edit in editor.made.items()}
    assert sorted(made) == list(range(2, 2 + edits))
    assert final["revision"] == max(made)
    assert sum(editor.conflicts for editor in editors) > 0
    serial = Definition(graph=Graph(nodes=(START,)))
    touched: dict[int, list[str]] = {}
    for revision in sorted(made):
        edited = made[revision](serial)
        serial, touched[revision] = edited.definition, list(edited.touched)
    assert [
        (node["key"], node["name"], node["configInput"]) for node in final["graph"]["nodes"]
    ] == [(node.key, node.name or node.key, node.config) for node in serial.graph.nodes]  # fmt: skip
    assert [(edge["source"], edge["target"]) for edge in final["graph"]["edges"]] == [
        (edge.source, edge.target) for edge in serial.graph.edges
    ]

    for watcher in watchers:
        edited = [one for one in watcher.told if one["kind"] == "EDITED"]
        assert [(one["revision"], one["nodeKeys"]) for one in edited] == sorted(touched.items())
        assert {one["changedBy"]["name"] for one in watcher.told} == {"one"}
        assert [one["revision"] for one in watcher.told] == sorted(one["revision"] for one in watcher.told)
        assert all(one["workflow"]["revision"] >= one["revision"] for one in watcher.told if one["workflow"])
        assert (watcher.told[-1]["kind"], watcher.told[-1]["workflow"]) == ("DELETED", None)
    # Both were told the same, but for what was moved before the later one began; and each move once.
    early, late = (watcher.told for watcher in watchers)
    facts = [[(one["kind"], one["revision"], one["nodeKeys"], one["at"]) for one in told] for told in (early, late)]
    assert facts[0][-len(facts[1]) :] == facts[1][-len(facts[0]) :]
    moves = sum(len(editor.moves) for editor in editors)
    assert moves - 20 < sum(one["kind"] == "MOVED" for one in late) <= moves
