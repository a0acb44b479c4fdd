from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from domain.identity import Principal
    from tests.support.api import Api

CREATE = """mutation ($input: CreateWorkflowInput!) {
  createWorkflow(input: $input) {workflow {id} userErrors {__typename code message path}}
}"""
START = """mutation ($input: StartRunInput!) {
  startRun(input: $input) {run {id input} userErrors {__typename code message path ... on LimitError {limit actual}}}
}"""
NODE = {"key": "a", "config": {"transform": {"fields": [{"name": "n", "value": "1"}]}}}


async def created(api: Api, by: Principal, schema: object) -> Any:
    fields = {"name": "W", "graph": {"nodes": [NODE], "edges": []}, "inputSchema": schema}
    return (await api.run(CREATE, {"input": fields}, caller=by)).data["createWorkflow"]


async def started(api: Api, by: Principal, workflow: str, **more: object) -> Any:
    answer = await api.run(START, {"input": {"workflowId": workflow, **more}}, caller=by)
    assert answer.errors == []
    return answer.data["startRun"]


async def test_every_fault_of_an_input_is_an_error_with_its_path_and_nothing_is_started(
    api: Api, ada: Principal
) -> None:
    schema = {
        "type": "object",
        "required": ["question"],
        "properties": {"list": {"items": {"type": "integer"}}, "mode": {"enum": ["a", "b"]}},
    }
    workflow = (await created(api, ada, schema))["workflow"]["id"]
    payload = await started(api, ada, workflow, input={"list": [1, "x"], "mode": "c"})
    assert payload["run"] is None
    assert {tuple(error["path"]): (error["__typename"], error["code"]) for error in payload["userErrors"]} == {
        ("input", "input", "question"): ("InvalidInputError", "INVALID_INPUT"),
        ("input", "input", "list", "1"): ("InvalidInputError", "INVALID_INPUT"),
        ("input", "input", "mode"): ("InvalidInputError", "INVALID_INPUT"),
    }
    listed = await api.run("{runs {totalCount}}", caller=ada)
    assert listed.data["runs"]["totalCount"] == 0


async def test_an_input_that_is_absent_is_an_empty_object_where_the_schema_wants_one_and_no_default_is_filled_in(
    api: Api, ada: Principal
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}}
    workflow = (await created(api, ada, schema))["workflow"]["id"]
    assert (await started(api, ada, workflow))["run"]["input"] == {}
    anything = (await created(api, ada, None))["workflow"]["id"]
    assert (await started(api, ada, anything))["run"]["input"] is None


async def test_a_schema_that_is_none_is_refused_on_save_with_its_place(api: Api, ada: Principal) -> None:
    payload = await created(api, ada, {"type": "object", "properties": {"a": {"type": "strin"}}})
    assert payload["workflow"] is None
    (error,) = payload["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["input", "inputSchema", "properties", "a", "type"])


@pytest.mark.parametrize(("size", "is_taken"), [(1_048_576, True), (1_048_577, False)])
async def test_an_input_has_a_mebibyte_at_most(api: Api, ada: Principal, size: int, is_taken: bool) -> None:
    workflow = (await created(api, ada, None))["workflow"]["id"]
    payload = await started(api, ada, workflow, input="x" * (size - 2))  # with its quotes
    assert (payload["run"] is not None) is is_taken
    limits = [(error["__typename"], error["limit"], error["actual"]) for error in payload["userErrors"]]
    assert limits == ([] if is_taken else [("LimitError", 1_048_576, size)])
