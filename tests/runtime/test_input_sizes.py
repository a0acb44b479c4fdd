"""What is too large, or cannot be stored, is called by its name: the input of a run, of a sub-workflow, of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.concurrency import concurrency_key
from domain.errors import LimitExceeded, TemplateFault
from domain.workflow import ConcurrencyPolicy, Definition, Graph, GraphNode, WorkflowDraft
from runtime.run_starts import encoded_input
from tests.support.identity import make_principal
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from pathlib import Path

    from persistence.database import Database

MIB = 1_048_576
LONG = MIB - 100


def graph_of(kind: str, config: dict[str, Any]) -> Definition:
    return Definition(graph=Graph(nodes=(GraphNode(key="a", config={kind: config}),)))


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (2, f"INVALID_SUB_INPUT: subInput has {2 * LONG + 7} bytes of JSON; {MIB} are the most."),
        (5, "INVALID_INPUT: input has "),
    ],
)
async def test_an_input_that_is_too_large_fails_the_node_that_calls(
    database: Database, database_url: str, tmp_path: Path, times: int, told: str
) -> None:
    async with open_test_services(database_url, tmp_path) as services:
        ada = await make_principal(database, "ada")
        child = graph_of("transform", {"fields": [{"name": "one", "value": 1}]})
        called = await services.workflows.create(ada, None, WorkflowDraft("Child", definition=child))
        config = {"workflow": called.slug, "version": {"track": "DRAFT"}, "subInput": ["{{ input }}"] * times}
        parent = WorkflowDraft("Parent", definition=graph_of("subworkflow", config))
        run = await services.runs.start(ada, (await services.workflows.create(ada, None, parent)).id, "x" * LONG)
        events = [event.event async for event in services.runs.follow(ada, run.id, None)]
        failure: Any = getattr(events[-1], "failure", None)
        assert f"{failure.code}: {failure.message}".startswith(told)


def test_an_input_of_a_run_is_too_large_however_large_it_is() -> None:
    with pytest.raises(LimitExceeded) as caught:
        encoded_input("x" * 5 * MIB)
    assert (caught.value.limit, caught.value.actual) == (MIB, 5 * MIB + 2)


@pytest.mark.parametrize("key", ["{{ input.n * input.n }}", "{{ [input.t, input.t] }}"])
def test_a_concurrency_key_that_cannot_be_written_is_a_fault_of_its_template(key: str) -> None:
    with pytest.raises(TemplateFault) as caught:
        concurrency_key(ConcurrencyPolicy(key=key, max_runs=1), {"n": 2**60, "t": "x" * 3 * MIB})
    assert caught.value.message.startswith("It gives what cannot be a key: value ")
