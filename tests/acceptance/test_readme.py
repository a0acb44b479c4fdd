"""What README.md shows is true: its workflow file is sound, and its client watches a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from domain.document import load
from domain.references import WorkspaceNames
from domain.validation import check
from runtime.registry import load_registry
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

README = (Path(__file__).parents[2] / "README.md").read_text()
SIGN_UP = """mutation {
  signUp(input: { email: "ada@example.com", password: "a river that rejoins" }) { accessToken userErrors { message } }
}"""
CREATE = """mutation ($graph: GraphInput!) {
  createWorkflow(input: { name: "Greeting", graph: $graph }) { workflow { id } userErrors { message } }
}"""
START = """mutation ($id: ID!) {
  startRun(input: { workflowId: $id, input: { name: "Ada" } }) { run { id } userErrors { message } }
}"""


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return found


def test_the_workflow_file_has_no_problem() -> None:
    document = load(block("yaml"))
    assert [node.key for node in document.definition.graph.nodes] == ["greet", "shout"]
    assert check(document.definition, load_registry().names, WorkspaceNames()) == []


async def ask(http: aiohttp.ClientSession, query: str, **variables: Any) -> Any:
    async with http.post("/graphql", json={"query": query, "variables": variables}) as response:
        [answer] = (await response.json())["data"].values()
    assert answer["userErrors"] == []
    return answer


def client() -> Callable[..., AsyncIterator[dict[str, Any]]]:
    names: dict[str, Any] = {}
    exec(compile(block("python"), "README.md", "exec"), names)  # noqa: S102 - our own documentation
    return names["watch"]


async def test_the_client_watches_a_run_to_its_end_and_goes_on_behind_a_cursor(
    database_url: str, tmp_path: Path
) -> None:
    watch = client()
    graph = load(block("yaml")).definition.graph.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        async with aiohttp.ClientSession(url) as http:
            token = (await ask(http, SIGN_UP))["accessToken"]
        async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {token}"}) as http:
            workflow = (await ask(http, CREATE, graph=graph))["workflow"]["id"]
            run = (await ask(http, START, id=workflow))["run"]["id"]
        socket = url.replace("http", "ws", 1) + "/graphql"
        events = [event async for event in watch(socket, token, run)]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert (events[0]["__typename"], events[-1]["__typename"]) == ("RunQueued", "RunSucceeded")
        assert events[-1]["output"] == {"shout": {"text": "HELLO, ADA!"}}
        rest = [event async for event in watch(socket, token, run, events[2]["cursor"])]
        assert rest == events[3:]


@pytest.mark.parametrize(
    ("payload", "fault", "words"),
    [
        ({"data": {"runEvents": {"seq": 1}}}, ConnectionError, "before the run had ended"),
        ({"data": None, "errors": [{"message": "something broke"}]}, RuntimeError, "something broke"),
    ],
)
async def test_the_client_says_so_when_a_socket_ends_before_the_run_or_an_event_has_failed(
    payload: dict[str, Any], fault: type[Exception], words: str
) -> None:
    async def stop(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "connection_ack"}))
        await socket.recv()
        await socket.send(json.dumps({"type": "next", "id": "1", "payload": payload}))
        await socket.close(1001)

    async with serve(stop, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-transport-ws")]) as server:
        [address] = [socket.getsockname() for socket in server.sockets]
        with pytest.raises(fault, match=words):
            _ = [event async for event in client()(f"ws://127.0.0.1:{address[1]}", "token", "run_1")]
