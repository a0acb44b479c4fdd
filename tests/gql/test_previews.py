from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import Prefix, RunId, from_global
from tests.support.identity import make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

CREATE = """
mutation ($input: CreateWorkflowInput!) {
  createWorkflow(input: $input) { workflow { id } userErrors { message ... on GraphProblemsError { problems { message } } } }
}
"""
START = "mutation ($id: ID!, $input: JSON) { startRun(input: {workflowId: $id, input: $input}) { run { id } userErrors { message } } }"
PREVIEW = """
query ($input: PreviewTemplateInput!) {
  previewTemplate(input: $input) { value references error { code message severity nodeKey hint path } }
}
"""


def transform(key: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"key": key, "config": {"transform": {"fields": [{"name": "value", "value": value}]}}, **more}


GRAPH = {
    "nodes": [
        transform("first", "{{ input.city }}"),
        transform("broken", "{{ input.gone }}", onError={"mode": "BRANCH"}, retry={"maximumAttempts": 1}),
        transform("rescue", "{{ error.code }}"),
        transform("last", "{{ nodes.first.output.value }}"),
    ],
    "edges": [
        {"source": "first", "target": "last"},
        {"source": "broken", "sourcePort": "error", "target": "rescue"},
    ],
}


class World:
    """A workflow of one caller, and what is tried in it."""

    def __init__(self, api: Api, caller: Principal, workflow_id: str) -> None:
        self.api = api
        self.caller = caller
        self.workflow_id = workflow_id

    async def run(self, **given: Any) -> str:
        """Run the workflow to its end."""
        answer = await self.api.run(START, {"id": self.workflow_id, "input": given}, caller=self.caller)
        assert answer.data["startRun"]["userErrors"] == []
        run_id: str = answer.data["startRun"]["run"]["id"]
        async for _ in self.api.services.runs.follow(self.caller, RunId(from_global(Prefix.RUN, run_id)), None):
            pass
        return run_id

    async def answer(self, template: str, node: str = "last", **more: Any) -> Any:
        """Ask, whoever the caller is."""
        caller = more.pop("caller", self.caller)
        asked = {"workflowId": self.workflow_id, "nodeKey": node, "template": template, **more}
        return await self.api.run(PREVIEW, {"input": asked}, caller=caller)

    async def tried(self, template: str, node: str = "last", **more: Any) -> Any:
        """Return what the API says of a template."""
        answer = await self.answer(template, node, **more)
        assert answer.errors == []
        return answer.data["previewTemplate"]


@pytest.fixture
async def world(api: Api, database: Database) -> World:
    return await made(api, await make_principal(database, "ada"), GRAPH)


async def made(api: Api, caller: Principal, graph: Any) -> World:
    answer = await api.run(CREATE, {"input": {"name": "Tried", "graph": graph}}, caller=caller)
    assert answer.data["createWorkflow"]["userErrors"] == []
    return World(api, caller, answer.data["createWorkflow"]["workflow"]["id"])


async def test_a_template_gives_its_value_with_its_type_on_the_latest_run(world: World) -> None:
    first = await world.run(city={"name": "Berlin", "size": 3})
    latest = await world.run(city={"name": "Paris", "size": 2.5})
    found = await world.tried("{{ nodes.first.output.value }}")
    assert found == {
        "value": {"name": "Paris", "size": 2.5}, "references": ["nodes.first.output.value"], "error": None,
    }  # fmt: skip
    assert (await world.tried("{{ nodes.first.output.value.size }}", runId=first))["value"] == 3
    text = await world.tried("{{ input.city.name }} in {{ run.id }}")
    assert (text["value"], text["references"]) == (f"Paris in {latest}", ["input.city.name", "run.id"])
    assert (await world.tried("no template"))["value"] == "no template"


async def test_a_preview_reads_no_more_outputs_than_a_reader_may_cost(api: Api, database: Database) -> None:
    many = [transform(f"n{number}", 1) for number in range(33)]
    edges = [{"source": node["key"], "target": "last"} for node in many]
    graph = {"nodes": [*many, transform("last", 1)], "edges": edges}
    world = await made(api, await make_principal(database, "bo"), graph)
    await world.run()
    template = "".join(f"{{{{ nodes.{node['key']}.output.value }}}}" for node in many)
    found = await world.tried(template)
    assert (found["value"], found["error"]["code"]) == (None, "TEMPLATE_ERROR")
    assert "32 nodes at most; this one names 33" in found["error"]["message"]
    assert (await world.tried(template.replace("{{ nodes.n32.output.value }}", "")))["value"] == "1" * 32


async def test_a_trial_of_a_node_is_no_run_to_try_templates_on(world: World) -> None:
    latest = await world.run(city="Rome")
    text = 'mutation ($id: ID!) { tryNode(input: {workflowId: $id, nodeKey: "last"}) { run { id } userErrors { message } } }'
    trial = (await world.api.run(text, {"id": world.workflow_id}, caller=world.caller)).data["tryNode"]
    assert trial["userErrors"] == []
    assert trial["run"]["id"] != latest
    assert (await world.tried("{{ run.id }}"))["value"] == latest


async def test_behind_an_error_port_the_failure_of_the_run_is_seen(world: World) -> None:
    await world.run(city="Rome")
    assert (await world.tried("{{ error.code }}", "rescue"))["value"] == "TEMPLATE_ERROR"
    elsewhere = await world.tried("{{ error.code }}", "last")
    assert (elsewhere["value"], elsewhere["error"]["code"]) == (None, "UNKNOWN_REFERENCE")
    whole = await world.tried("{{ error.itemIndex is none }}", "rescue")
    assert (whole["value"], whole["error"]) == (True, None)
    unknown = await world.tried("{{ error.item }}", "rescue")
    assert (unknown["error"]["code"], unknown["error"]["message"]) == ("UNKNOWN_REFERENCE", "There is no `error.item`.")


async def test_behind_a_list_the_item_that_failed_is_seen(api: Api, database: Database) -> None:
    each = transform("each", "{{ item.name }}", forEach={"items": "input.places"}, onError={"mode": "BRANCH"})
    edges = [{"source": "each", "sourcePort": "error", "target": "rescue"}]
    graph = {"nodes": [each, transform("rescue", "{{ error.itemIndex }}")], "edges": edges}
    world = await made(api, await make_principal(database, "bo"), graph)
    await world.run(places=[{"name": "Rome"}, {}])
    assert (await world.tried("{{ error.itemIndex }}", "rescue"))["value"] == 1


async def test_without_a_run_syntax_and_references_are_told_and_what_reads_nothing_is_rendered(world: World) -> None:
    found = await world.tried("{{ nodes.first.output.value }}")
    assert (found["value"], found["references"]) == (None, ["nodes.first.output.value"])
    assert found["error"] == {
        "code": "NO_RUN", "message": "There is no run yet whose data it could be tried on.", "severity": "ERROR",
        "nodeKey": "last", "hint": "Start one, then try again.", "path": [],
    }  # fmt: skip
    assert (await world.tried("{{ 6 * 7 }}"))["value"] == 42


@pytest.mark.parametrize(
    ("template", "node", "code"),
    [
        ("{{ input. }}", "last", "TEMPLATE_SYNTAX"),
        ("{{ nodes.frist.output }}", "last", "UNKNOWN_REFERENCE"),
        ("{{ nodes.last.output }}", "first", "NOT_AN_ANCESTOR"),
        ("{{ item }}", "last", "UNKNOWN_REFERENCE"),
        ("{{ secrets.NONE }}", "last", "UNKNOWN_SECRET"),
        ("{{ input.town }}", "last", "TEMPLATE_ERROR"),
        ("{{ range(100000000) | list }}", "last", "TEMPLATE_ERROR"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
            "last",
            "TEMPLATE_ERROR",
        ),
    ],
)
async def test_what_is_wrong_is_a_problem_with_its_code_and_node(
    world: World, template: str, node: str, code: str
) -> None:
    await world.run(city="Rome")
    found = await world.tried(template, node)
    assert (found["value"], found["error"]["code"], found["error"]["nodeKey"]) == (None, code, node)


async def test_a_value_is_bounded_as_a_text_is(world: World) -> None:
    await world.run(city="x" * 600_000)
    assert (await world.tried("{{ input.city }}"))["error"] is None
    for template in ("{{ input.city }}{{ input.city }}", "{{ [input.city, input.city] }}"):
        found = await world.tried(template)
        assert (found["value"], found["error"]["code"]) == (None, "TEMPLATE_ERROR")


async def test_a_secret_is_never_shown(world: World) -> None:
    services = world.api.services
    await services.secrets.create(world.caller, None, "KEY", "canary-7f3a", None)
    await world.run(city="Rome")
    for template, value in [("{{ secrets.KEY }}", "•••"), ("Bearer {{ secrets.KEY | upper }}", "Bearer •••")]:
        answer = await world.answer(template)
        assert answer.data["previewTemplate"]["value"] == value
        assert "canary" not in str(answer)
    whole = await world.tried("{{ secrets }}")
    assert (whole["value"], whole["error"]["code"]) == (None, "UNKNOWN_REFERENCE")


async def test_in_a_for_each_the_first_item_stands_for_all(api: Api, database: Database) -> None:
    caller = await make_principal(database, "ada")
    plain = await made(api, caller, {"nodes": [transform("a", "{{ input.cities }}")], "edges": []})
    await plain.run(cities=["Rome", "Oslo"])
    update = """
    mutation ($id: ID!, $graph: GraphInput!) {
      updateWorkflow(input: {id: $id, expectedRevision: 1, graph: $graph}) { userErrors { message } }
    }
    """
    graph = {
        "nodes": [
            transform("a", "{{ input.cities }}"),
            transform("b", "{{ item }}", forEach={"items": "input.cities"}),
        ],
        "edges": [{"source": "a", "target": "b"}],
    }
    answer = await api.run(update, {"id": plain.workflow_id, "graph": graph}, caller=caller)
    assert answer.data["updateWorkflow"]["userErrors"] == []
    found = await plain.tried("{{ index }}: {{ item }}", "b")
    assert (found["value"], found["references"]) == ("0: Rome", ["index", "item"])
    elsewhere = await plain.tried("{{ item }}", "a")
    assert elsewhere["error"]["code"] == "UNKNOWN_REFERENCE"


async def test_what_the_caller_may_not_see_is_not_found(world: World, database: Database) -> None:
    eve = await make_principal(database, "eve")
    run_id = await world.run(city="Rome")
    hers = await made(world.api, eve, GRAPH)
    assert (await world.answer("x", caller=eve)).codes == ["NOT_FOUND"]
    assert (await world.answer("x", "nowhere")).codes == ["NOT_FOUND"]
    assert (await hers.answer("{{ input.city }}", runId=run_id)).codes == ["NOT_FOUND"]


async def test_a_run_of_another_workflow_of_the_workspace_may_lend_its_data(world: World) -> None:
    run_id = await world.run(city="Rome")
    copy = await made(world.api, world.caller, GRAPH)
    assert (await copy.tried("{{ nodes.first.output.value }}", runId=run_id))["value"] == "Rome"
    assert (await copy.tried("{{ nodes.first.output.value }}"))["error"]["code"] == "NO_RUN"
