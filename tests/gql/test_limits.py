from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from graphql import OperationDefinitionNode, get_introspection_query, parse
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gql.context import Context
from gql.limits import Documents
from gql.measure import Ruler
from tests.support.probe import (
    Sessions,
    Witness,
    probe_schema,
    probe_services,
    probe_settings,
    probing,
)

if TYPE_CHECKING:
    from runtime.settings import Settings


def bomb(levels: int) -> str:
    """Return a document of a few hundred bytes with 2**levels paths."""
    fragments = [f"fragment f{level} on Query {{...f{level + 1} ...f{level + 1}}}" for level in range(levels)]
    return " ".join(["{...f0}", *fragments, f"fragment f{levels} on Query {{__typename}}"])


def chain(length: int) -> str:
    """Return a document whose fragments spread one another, each once."""
    fragments = [f"fragment f{place} on Query {{...f{place + 1}}}" for place in range(length)]
    return " ".join(["{...f0}", *fragments, f"fragment f{length} on Query {{__typename}}"])


class Api:
    """The schema without transport."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or probe_settings()
        self.schema = probe_schema(self.settings)

    async def errors(self, query: str, variables: dict[str, Any] | None = None, name: str | None = None) -> list[str]:
        """Return code and message of each error."""
        context = Context(probe_services(Sessions(), Witness(), self.settings))
        result = await self.schema.execute(query, variables, context, operation_name=name)
        return [f"{(error.extensions or {})['code']} {error.message}" for error in result.errors or []]


async def test_a_fragment_bomb_is_refused_at_once_over_http_and_over_a_websocket() -> None:
    begun = time.perf_counter()
    async with probing() as probe, aiohttp.ClientSession() as http:
        async with http.post(probe.graphql, json={"query": bomb(200)}) as answer:
            refused = (await answer.json())["errors"][0]
        async with connect(probe.socket, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send('{"type": "connection_init"}')
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": bomb(200)}}))
            message = json.loads(await socket.recv())
    assert message["type"] == "error"
    for error in (refused, message["payload"][0]):
        assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
        assert "more than 10¹²" in error["message"]
    # Thirty levels take the usual limiters an hour; these are two hundred.
    assert time.perf_counter() - begun < 5


async def test_a_bomb_inside_a_field_is_refused_as_well() -> None:
    inner = bomb(26).replace("{...f0}", "{server {...f0}}").replace("on Query", "on ServerInfo")
    (error,) = await Api().errors(inner)
    assert error.startswith(
        "LIMIT_EXCEEDED The operation is too long: 201,326,592 selections with fragments spread out"
    )


async def test_a_long_chain_of_fragments_is_measured_without_recursion() -> None:
    document = parse(chain(2_000))
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    measure = Ruler(probe_schema(probe_settings())._schema, document, {}).measure(operation)
    assert (measure.depth, measure.root_fields, measure.selections) == (1, 1, 2_002)
    assert await Api().errors(chain(100)) == []


async def test_fragments_that_spread_themselves_are_refused() -> None:
    query = "{...a} fragment a on Query {...b} fragment b on Query {...a}"
    assert await Api().errors(query) == ["GRAPHQL_VALIDATION_FAILED Cannot spread fragment 'a' within itself."]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{" + "server {" * 15 + "version" + "}" * 16, "too deep: 16 levels, at most 15"),
        (
            "{things {...t}} fragment t on ThingConnection {nodes {...n}} fragment n on Thing "
            + "{value " * 14 + "}" * 14,
            "too deep: 16 levels, at most 15",
        ),
        ("{" + " ".join(f"a{n}: __typename" for n in range(51)) + "}", "too full of aliases: 51, at most 50"),
        ("{server {...a ...a}} fragment a on ServerInfo {" + " ".join(f"a{n}: version" for n in range(26)) + "}",
         "too full of aliases: 52, at most 50"),
        ("{" + "__typename " * 21 + "}", "too broad: 21 fields at its root, at most 20"),
        ("{server {version " + "@skip(if: false) " * 6 + "}}", "too full of directives: 6 at one place, at most 5"),
    ],
)  # fmt: skip
async def test_each_limit_counts_what_fragments_bring(query: str, message: str) -> None:
    (error,) = await Api().errors(query)
    assert message in error


async def test_at_the_limits_nothing_is_refused() -> None:
    aliases = "{" + " ".join(f"a{n}: version" for n in range(50)) + "}"
    for query in (
        "{server " + aliases + "}",
        "{" + "__typename " * 20 + "}",
        "{server {version " + "@skip(if: false)}}",
    ):
        assert await Api().errors(query) == []


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("{server {version}}", {}, 1),
        ("{things {totalCount}}", {}, 1),
        ("{things {nodes {id}}}", {}, 1 + 20),
        ("{things(first: 7) {nodes {id} edges {node {id}}}}", {}, 1 + 7 * 3),
        ("query ($n: Int) {things(last: $n) {nodes {id}}}", {"n": 50}, 1 + 50),
        ("query ($n: Int = 30) {things(first: $n) {nodes {id}}}", {}, 1 + 30),
        ("query ($n: Int) {things(first: $n) {nodes {id}}}", {"n": 10**9}, 1 + 100),
        ("{nodes(ids: [1, 2, 3]) {... on Thing {id}}}", {}, 1),
        ("{...a ...a} fragment a on Query {things(first: 5) {nodes {id}}}", {}, 2 * (1 + 5)),
    ],
)
async def test_the_cost_counts_the_objects_that_may_be_asked_for(
    query: str, variables: dict[str, Any], cost: int
) -> None:
    assert not any("costly" in error for error in await Api(probe_settings(max_cost=cost)).errors(query, variables))
    (error,) = await Api(probe_settings(max_cost=cost - 1)).errors(query, variables)
    assert f"it may ask for {cost:,} objects, at most {cost - 1:,}" in error


async def test_the_cost_is_that_of_the_operation_asked_for() -> None:
    api = Api(probe_settings(max_cost=50))
    query = "query Small {server {version}} query Large {things(first: 90) {nodes {id}}}"
    assert await api.errors(query, name="Small") == []
    assert "costly" in (await api.errors(query, name="Large"))[0]


async def test_repeating_a_field_thousands_of_times_does_not_hold_up_the_event_loop() -> None:
    begun = time.thread_time()  # whatever else the machine does
    assert (await Api().errors("{things {" + "nodes {id} " * 900 + "}}"))[0].startswith("GRAPHQL_VALIDATION_FAILED")
    assert time.thread_time() - begun < 2


async def test_more_than_5000_tokens_are_not_parsed() -> None:
    (error,) = await Api().errors("{server {" + "version " * 5_000 + "}}")
    assert error.startswith("GRAPHQL_PARSE_FAILED Syntax Error: Document contains more than 5000 tokens")


async def test_what_tools_ask_of_the_schema_is_within_the_limits() -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    assert await Api().errors(query) == []


async def test_introspection_can_be_switched_off() -> None:
    api = Api(probe_settings(is_introspection_enabled=False))
    assert (await api.errors("{__schema {types {name}}}"))[0].startswith("GRAPHQL_VALIDATION_FAILED")
    assert await api.errors("{__typename}") == []


async def test_mistakes_are_answered_with_suggestions_in_development_only() -> None:
    for query in ("{serverr {version}}", "{things(frst: 1) {totalCount}}", "fragment F on Thng {id} {...F}"):
        for _ in range(2):  # the second time from memory
            assert not any("Did you mean" in error for error in await Api().errors(query))
        assert any("Did you mean" in error for error in await Api(probe_settings(is_development=True)).errors(query))


async def test_a_document_from_memory_is_answered_as_the_first_time() -> None:
    api = Api()
    for query in ("{nope}", "{server {version}}", "{"):
        assert await api.errors(query) == await api.errors(query)


def test_the_memory_of_documents_is_bounded_and_forgets_the_oldest() -> None:
    documents = Documents(max_text=100)
    for number in range(50):
        documents.add(f"{{a{number:04}}}", parse("{a}"))
        documents.find("{a0000}")
    assert len(documents) == 14
    assert documents.find("{a0000}") is not None
    assert documents.find("{a0001}") is None
    assert documents.find("{a0049}") is not None


def test_a_long_document_is_not_remembered() -> None:
    documents = Documents(max_text=100)
    documents.add("{" + "a" * 30 + "}", parse("{a}"))
    assert len(documents) == 0
