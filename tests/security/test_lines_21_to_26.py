"""Lines 21 to 26 of docs/design/security.md."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import pytest

from domain.collections import MAX_DOCUMENTS, MAX_TEXT_BYTES, NewDocument, check_document
from domain.errors import InvalidInput, LimitExceeded, NodeFault
from domain.json_codec import MAX_OUTPUT_BYTES, encode
from domain.validation import check
from domain.workflow import Definition, Graph, GraphNode
from gql.logs import configure_logs
from tests.domain.sample_kinds import KINDS
from tests.domain.test_validation import NAMES
from tests.persistence.test_collections import DIMENSION, PreparedDocument, store, tales
from tests.support.logs import logs_as_before
from tests.support.probe import probing

if TYPE_CHECKING:
    from domain.collections import Collection
    from persistence.collections import PostgresCollections

__all__ = ["logs_as_before", "store", "tales"]
ROOT = Path(__file__).parents[2]


def test_line_21_graphs_and_outputs_are_bounded_and_refused_at_once() -> None:
    nodes = tuple(GraphNode(key=f"n{number}", config={"set": {}}) for number in range(10_000))
    definition = Definition.model_construct(graph=Graph.model_construct(nodes=nodes, edges=()))
    began = time.thread_time()
    (problem,) = check(definition, KINDS, NAMES)
    assert time.thread_time() - began < 1.0
    assert problem.code == "TOO_MANY_NODES"
    with pytest.raises(NodeFault) as refused:
        encode("x" * MAX_OUTPUT_BYTES)
    assert refused.value.code == "INVALID_OUTPUT"


async def test_line_22_vectors_that_cannot_be_are_refused(store: PostgresCollections, tales: Collection) -> None:
    for wrong in (
        np.zeros((1, DIMENSION + 1), np.float32),
        np.full((1, DIMENSION), np.nan, np.float32),
        np.full((1, DIMENSION), np.inf, np.float32),
    ):
        with pytest.raises(InvalidInput):
            await store.save_documents(tales, [PreparedDocument(NewDocument("a", "a", {}), ["a"], wrong)])
    sources = [
        path.read_text() for folder in ("persistence", "runtime", "domain") for path in (ROOT / folder).rglob("*.py")
    ]
    assert [source for source in sources if "import pickle" in source or "allow_pickle=True" in source] == []


async def test_line_23_uploads_are_bounded_and_not_unpacked() -> None:
    with pytest.raises(LimitExceeded):
        check_document(None, "x" * (MAX_TEXT_BYTES + 1), {}, ["input"])
    assert MAX_DOCUMENTS <= 1_000
    async with probing() as probe, aiohttp.ClientSession() as http:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        async with http.post(probe.graphql, data=b"\x1f\x8b" + b"x" * 100, headers=headers) as answer:
            assert answer.status == 415


async def test_line_24_every_answer_has_the_headers_and_no_banner() -> None:
    async with probing() as probe, aiohttp.ClientSession() as http:
        for path in ("/graphql?query={__typename}", "/healthz", "/readyz", "/metrics", "/nothing", "/", "/graphiql"):
            async with http.get(probe.url + path, allow_redirects=False) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff", path
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
                assert "Server" not in answer.headers, path
                assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}, path
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(probe.graphql, origin="https://evil.example", protocols=["graphql-transport-ws"])
        assert refused.value.headers is not None
        assert "Server" not in refused.value.headers


@pytest.mark.usefixtures("logs_as_before")
async def test_line_25_logs_hold_no_literal_and_no_variable_and_no_control_character(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs(is_for_people=False)
    queries: list[dict[str, Any]] = [
        {"query": 'mutation Named { probe(input: {text: "canary-literal"}) { text } }'},
        {"query": "mutation($t: String!) { probe(input: {text: $t}) { text } }", "variables": {"t": "canary-variable"}},
        {"query": 'mutation { probe(input: {nothing: "canary-wrong"}) { text } }'},
        {"query": '{ boom @skip(if: "canary-syntax" }'},
    ]
    async with probing() as probe, aiohttp.ClientSession() as http:
        for body in queries:
            await http.post(probe.graphql, json=body)
        await http.get(probe.graphql, params={"query": '{ x(y: "canary-get") }'})
    logging.getLogger("gql").warning("one\nINFO forged\x1b[2J\r\x9b")
    told = "".join(capfd.readouterr())
    assert "duration_ms" in told
    assert "canary" not in told
    assert all(json.loads(line) for line in told.splitlines())
    assert "\x1b" not in told
    assert "\x9b" not in told


def test_line_26_dependencies_are_audited_by_ci() -> None:
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "step audit" in ci
    assert "make audit" in ci
    recipe = makefile.partition("\naudit:")[2].partition("\n\n")[0]
    assert "audit" in recipe
