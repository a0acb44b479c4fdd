from __future__ import annotations

from typing import Any

import pytest
from uuid_utils.compat import uuid7

from domain.configs import compile_config
from domain.drafts import read_graph
from domain.errors import NodeFault
from domain.ids import GraphId, WorkflowId
from domain.run import NO_USAGE, Failure, RunStatus, Usage
from domain.suspensions import SubRunCall, SubRunEnded
from domain.validation import WorkspaceNames, check
from domain.versions import VersionTrack
from domain.workflow import Definition
from runtime.nodes.subworkflow import KIND, run
from runtime.registry import Registry
from tests.support.node_context import RecordingContext

CALL = SubRunCall(WorkflowId(uuid7()), GraphId(uuid7()), 1, 2, b"{}")


@pytest.mark.parametrize(
    ("version", "which"),
    [
        (None, VersionTrack.PUBLISHED),
        ({"track": "DRAFT"}, VersionTrack.DRAFT),
        ({"track": "PUBLISHED"}, VersionTrack.PUBLISHED),
        ({"number": 3}, 3),
    ],
)
async def test_a_workflow_is_called_by_its_slug_and_version_with_what_is_rendered(
    version: dict[str, Any] | None, which: object
) -> None:
    values = {"workflow": "child", "subInput": {"n": "{{ input.n + 1 }}"}} | ({"version": version} if version else {})
    config: Any = compile_config(KIND, values).render({"input": {"n": 1}})
    ctx = RecordingContext(call=CALL)
    assert (await run(config, ctx)).suspension is CALL
    assert ctx.called == [("child", which, {"n": 2})]


def test_the_output_of_the_sub_run_is_that_of_the_node() -> None:
    assert KIND.resume is not None
    ended = KIND.resume(SubRunEnded("run_1", RunStatus.SUCCEEDED, {"a": 1}, None, Usage(1, 2, 3)))
    assert (ended.output, ended.ports, ended.usage) == ({"a": 1}, ("out",), Usage(1, 2, 3))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (RunStatus.FAILED, "SUB_RUN_FAILED", "The sub-run run_1 failed. HTTP_STATUS: 503"),
        (RunStatus.CRASHED, "SUB_RUN_FAILED", "The sub-run run_1 failed. HTTP_STATUS: 503"),
        (RunStatus.CANCELED, "SUB_RUN_CANCELED", "The sub-run run_1 was canceled."),
    ],
)
def test_a_sub_run_that_does_not_succeed_fails_the_node_once(status: RunStatus, code: str, message: str) -> None:
    assert KIND.resume is not None
    with pytest.raises(NodeFault) as caught:
        KIND.resume(SubRunEnded("run_1", status, None, Failure("HTTP_STATUS", "503", is_retryable=True), NO_USAGE))
    assert (caught.value.code, caught.value.message, caught.value.is_retryable) == (code, message, False)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (2_147_483_648, "Input should be less than or equal to 2147483647."),
        (10**30, "Input should be less than or equal to 2147483647."),
        (0, "Input should be greater than or equal to 1."),
    ],
)
def test_a_version_that_no_workflow_can_have_is_told_before_anything_runs(number: int, message: str) -> None:
    problems = compile_config(KIND, {"workflow": "child", "version": {"number": number}}).problems
    assert [(one.path, one.code, one.message) for one in problems] == [
        (("version", "number"), "INVALID_CONFIG", message)
    ]


def test_of_runs_that_call_each_other_the_first_and_the_deepest_are_told() -> None:
    assert KIND.resume is not None
    failure = Failure("SUB_RUN_TOO_DEEP", "Up to 16.")
    for run_id in ("run_4", "run_3", "run_2", "run_1"):
        with pytest.raises(NodeFault) as caught:
            KIND.resume(SubRunEnded(run_id, RunStatus.FAILED, None, failure, NO_USAGE))
        failure = Failure(caught.value.code, caught.value.message)
    assert failure.message == "The sub-run run_1 failed; in it, the sub-run run_4 failed. SUB_RUN_TOO_DEEP: Up to 16."


# ── what a draft is told of the workflows that it calls ──


def calling(version: dict[str, Any] | None = None, slug: str = "child", **more: Any) -> dict[str, Any]:
    values = {"workflow": slug} | ({"version": version} if version else {})
    return {"key": "call", "config": {"subworkflow": values}, **more}


def told(*nodes: dict[str, Any], edges: tuple[tuple[str, str, str], ...] = ()) -> list[tuple[str, str, bool]]:
    """Return code, path and severity of what is wrong in the workflow `me`, which was published once."""
    names = WorkspaceNames(workflows={"child": 2, "new": None, "me": 1}, itself="me")
    joined = [{"source": source, "sourcePort": port, "target": target} for source, port, target in edges]
    found = check(Definition(graph=read_graph(nodes, joined)), Registry().names, names)
    assert all(one.node_key == "call" for one in found)
    return [(one.code, ".".join(one.path[2:]), one.is_error) for one in found]


@pytest.mark.parametrize(
    ("version", "slug", "problems"),
    [
        (None, "child", []),
        ({"number": 2}, "child", []),
        ({"number": 3}, "child", [("UNKNOWN_VERSION", "version.number", True)]),
        ({"track": "PUBLISHED"}, "new", [("UNPUBLISHED_WORKFLOW", "workflow", True)]),
        (None, "new", [("UNPUBLISHED_WORKFLOW", "workflow", True)]),
        ({"number": 1}, "new", [("UNKNOWN_VERSION", "version.number", True)]),
        ({"track": "DRAFT"}, "new", []),
        (None, "gone", [("UNKNOWN_WORKFLOW", "workflow", True)]),
        (None, "me", [("ENDLESS_CALLS", "workflow", True)]),
        ({"track": "DRAFT"}, "me", [("ENDLESS_CALLS", "workflow", True)]),
        ({"number": 1}, "me", []),
    ],
)
def test_a_draft_calls_only_what_is_there(
    version: dict[str, Any] | None, slug: str, problems: list[tuple[str, str, bool]]
) -> None:
    assert told(calling(version, slug)) == problems


def test_a_workflow_that_was_never_published_may_call_itself_under_a_condition() -> None:
    names = WorkspaceNames(itself="me")
    graph = read_graph([calling(slug="me", when="input.n > 0")])
    (problem,) = check(Definition(graph=graph), Registry().names, names)
    assert (problem.code, problem.is_error) == ("UNPUBLISHED_WORKFLOW", False)


def test_only_calls_of_itself_that_never_end_are_refused() -> None:
    shape = {"key": "shape", "config": {"transform": {"fields": [{"name": "a", "value": 1}]}}}
    cases = {"key": "cases", "config": {"branch": {"cases": [{"name": "more", "when": "input.n > 0"}]}}}
    endless = [("ENDLESS_CALLS", "workflow", True)]
    assert told(shape, calling(slug="me"), edges=(("shape", "out", "call"),)) == endless
    assert told(calling(slug="me", when="input.n > 0")) == []
    assert told(calling(slug="me", forEach={"items": "input.list"})) == []
    assert told(calling(slug="me", onError={"mode": "CONTINUE"})) == []
    assert told(cases, calling(slug="me"), edges=(("cases", "more", "call"),)) == []
    assert told({**shape, "when": "input.n > 0"}, calling(slug="me"), edges=(("shape", "out", "call"),)) == []
    branched = {**shape, "onError": {"mode": "BRANCH"}}
    assert told(branched, calling(slug="me"), edges=(("shape", "error", "call"),)) == []
    both = (("cases", "more", "call"), ("shape", "out", "call"))
    assert told(cases, shape, calling(slug="me"), edges=both) == endless
