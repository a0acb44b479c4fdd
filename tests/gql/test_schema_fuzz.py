"""The fuzzer of tests/acceptance/test_schemathesis.py sees what it must see, and asks for what is there."""

from __future__ import annotations

import json
from random import Random

import pytest
import requests
from graphql import build_schema, parse, validate

from domain.ids import Prefix
from gql.schema import schema_text
from tests.support.real_values import Pool, mended
from tests.support.schema_fuzz import Told

RUN = "run_01j00000000000000000000000"
CURSOR = "00000000-7"


def response(status: int, body: object) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = body if isinstance(body, bytes) else json.dumps(body).encode()  # pyright: ignore[reportPrivateUsage]
    return made


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"data": None}),
        (502, b"<html>"),
        (200, {"errors": [{"message": "boom"}], "data": {"run": None}}),
        (200, {"errors": [{"message": "An error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}),
    ],
)
def test_a_fault_of_the_server_is_seen(status: int, body: object) -> None:
    told = Told()
    told.add("run", "{ run }", response(status, body))
    assert len(told.faults) == 1
    assert (told.answered, told.share()) == ({}, 0.0)


def test_what_the_caller_did_wrong_is_none() -> None:
    told = Told()
    told.add("run", "{ run }", response(200, {"errors": [{"message": "No.", "extensions": {"code": "NOT_FOUND"}}]}))
    told.add("node", "{ node }", response(200, {"data": {"node": {"id": RUN}}}))
    told.add("make", "mutation { make }", response(200, {"data": {"make": {"userErrors": [{"code": "LIMIT"}]}}}))
    told.add("take", "mutation { take }", response(200, {"data": {"take": {"userErrors": []}}}))
    assert (told.faults, told.share()) == ([], 0.75)
    assert set(told.done) == {"take"}


def test_documents_stay_valid_and_name_what_is_there() -> None:
    schema = build_schema(schema_text())
    pool = Pool(schema, {Prefix.RUN: [RUN]}, "ws")
    pool.harvest(json.dumps({"edges": [{"cursor": CURSOR}]}))
    document = """{ run(id: "x") { id events(first: 3, last: 4, after: "y") { totalCount } } }"""
    asked = [mended(document, Random(number), pool) for number in range(50)]
    assert [validate(schema, parse(one)) for one in asked] == [[]] * 50
    assert sum(RUN in one for one in asked) > 25
    assert sum(CURSOR in one for one in asked) > 3
    assert not any("first" in one and "last" in one for one in asked)
    paused = mended('mutation { pauseRun(input: { id: "x" }) { run { id } } }', Random(1), pool)
    assert "userErrors" in paused
    assert validate(schema, parse(paused)) == []
