from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from gql.context import Context
from tests.support.probe import Sessions, Witness, probe_schema, probe_services, probe_settings

if TYPE_CHECKING:
    from strawberry.types import ExecutionResult

SETTINGS = probe_settings()


async def run(query: str, variables: dict[str, Any] | None = None) -> ExecutionResult:
    context = Context(probe_services(Sessions(), Witness(), SETTINGS))
    return await probe_schema(SETTINGS).execute(query, variables, context)


@pytest.mark.parametrize("query", ["{boom}", "{maybeBoom}", 'mutation {probe(input: {text: "boom"}) {text}}'])
async def test_what_nobody_foresaw_is_masked_and_logged_once_with_its_id(
    query: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = await run(query)
    (error,) = result.errors or []
    assert error.message == "Internal error."
    extensions = error.extensions or {}
    assert extensions["code"] == "INTERNAL_SERVER_ERROR"
    assert error.path is not None
    assert "hunter2" not in json.dumps(error.formatted)
    assert caplog.text.count(extensions["errorId"]) == 1
    assert "hunter2" in caplog.text


async def test_the_mistakes_of_clients_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for query in ("{", "{nope}", "{whoami}", "{things(first: 0) {totalCount}}", "query ($n: Int!) {server {version}}"):
        assert (await run(query)).errors
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{whoami}", {}, "UNAUTHENTICATED"),
        ("{nodes(ids: []) {id}}", {}, "UNAUTHENTICATED"),
        ("{things(first: 1, last: 1) {totalCount}}", {}, "INVALID_INPUT"),
        ("query ($n: Int) {things(first: $n) {totalCount}}", {"n": "x"}, "BAD_USER_INPUT"),
        ('{things(first: "x") {totalCount}}', {}, "GRAPHQL_VALIDATION_FAILED"),
        ('{things(after: "' + "x" * 5_000 + '") {totalCount}}', {}, "CURSOR_INVALID"),
    ],
)  # fmt: skip
async def test_deliberate_errors_say_what_they_are(query: str, variables: dict[str, Any], code: str) -> None:
    (error,) = (await run(query, variables)).errors or []
    assert (error.extensions or {})["code"] == code


async def test_an_error_beside_an_answer_leaves_the_rest_of_it() -> None:
    result = await run("{maybeBoom server {isSetupNeeded}}")
    assert result.data == {"maybeBoom": None, "server": {"isSetupNeeded": False}}
    assert [error.path for error in result.errors or []] == [["maybeBoom"]]
