"""`startRun` with its keys, priority and labels, over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from persistence.database import Database

SCHEMA = build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
CREATE = """
mutation ($i: CreateWorkflowInput!) {
  createWorkflow(input: $i) { workflow { id isRunnable problems { code } } userErrors { message } }
}
"""
START = """
mutation ($i: StartRunInput!) {
  startRun(input: $i) {
    run { id priority concurrencyKey idempotencyKey labels { name value } } isExisting
    userErrors { __typename code path message }
  }
}
"""
READ = "query ($id: ID!) { run(id: $id) { priority concurrencyKey idempotencyKey labels { name value } } }"
NODE = {"key": "a", "config": {"wait": {"durationMs": 60_000}}}
CONCURRENCY = {"key": "{{ input.customer }}", "maxRuns": 1}


class Client:
    """A caller of the API."""

    def __init__(self, api: Api, caller: Principal) -> None:
        self._api = api
        self._caller = caller

    async def ask(self, document: str, **variables: Any) -> Any:
        """Ask, and return the one field of the answer."""
        answer = await self._api.run(document, variables, caller=self._caller)
        assert answer.errors == []
        return next(iter(answer.data.values()))

    async def workflow(self, **settings: Any) -> str:
        """Make a workflow and return its id."""
        graph = {"nodes": [NODE], "edges": []}
        created = await self.ask(CREATE, i={"name": "W", "graph": graph, "settings": settings})
        assert created["userErrors"] == []
        assert created["workflow"]["problems"] == []
        return created["workflow"]["id"]

    async def start(self, workflow_id: str, **more: Any) -> Any:
        """Start a run."""
        return await self.ask(START, i={"workflowId": workflow_id, **more})


@pytest.fixture
async def client(database_url: str, database: Database, tmp_path: Path) -> AsyncGenerator[Client]:
    async with open_test_services(database_url, tmp_path) as services:
        yield Client(Api(SCHEMA, services), await make_principal(database, "ada"))


async def test_the_terms_of_a_start_are_kept_and_shown(client: Client) -> None:
    workflow_id = await client.workflow(concurrency=CONCURRENCY)
    labels = [{"name": "team", "value": "docs"}, {"name": "desk", "value": ""}]
    started = await client.start(
        workflow_id, input={"customer": "acme"}, idempotencyKey="monday", priority=1, labels=labels
    )
    terms = {"priority": 1, "concurrencyKey": "acme", "idempotencyKey": "monday", "labels": labels}
    run_id = started["run"].pop("id")
    assert started == {"run": terms, "isExisting": False, "userErrors": []}
    assert await client.ask(READ, id=run_id) == terms
    again = await client.start(workflow_id, input={"customer": "acme"}, idempotencyKey="monday")
    assert (again["run"]["id"], again["isExisting"]) == (run_id, True)


async def test_a_run_without_terms_has_the_middle_priority_and_nothing_else(client: Client) -> None:
    workflow_id = await client.workflow(concurrency={"maxRuns": 2})
    started = await client.start(workflow_id, priority=None, labels=None, idempotencyKey=None)
    assert started["run"].pop("id")
    assert started["run"] == {"priority": 3, "concurrencyKey": None, "idempotencyKey": None, "labels": []}


async def test_what_is_refused_is_told_by_its_place(client: Client) -> None:
    workflow_id = await client.workflow(concurrency=CONCURRENCY)
    good: dict[str, Any] = {"input": {"customer": "acme"}}
    started = await client.start(workflow_id, **good, idempotencyKey="k")
    refused: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"input": {}}, "InvalidInputError", ["input", "input"]),
        ({**good, "priority": 9}, "InvalidInputError", ["input", "priority"]),
        ({**good, "idempotencyKey": ""}, "InvalidInputError", ["input", "idempotencyKey"]),
        ({**good, "labels": [{"name": "", "value": "x"}]}, "InvalidInputError", ["input", "labels", "0", "name"]),
        ({**good, "labels": [{"name": "n", "value": "x"}] * 51}, "LimitError", ["input", "labels"]),
        ({"input": {"customer": "b"}, "idempotencyKey": "k"}, "ConflictError", ["input", "idempotencyKey"]),
        ({**good, "idempotencyKey": "k", "onConflict": "FAIL"}, "ConflictError", ["input", "idempotencyKey"]),
    ]
    error: dict[str, Any] = {}
    for given, kind, path in refused:
        answer = await client.start(workflow_id, **given)
        assert (answer["run"], answer["isExisting"]) == (None, None)
        [error] = answer["userErrors"]
        assert (error["__typename"], error["path"]) == (kind, path)
    assert started["run"]["id"] in error["message"]
