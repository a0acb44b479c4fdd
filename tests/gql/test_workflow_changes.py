from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from gql.context import Context
from tests.support.identity import make_principal
from tests.support.query_count import counting

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

CREATE = 'mutation { createWorkflow(input: { name: "Tale" }) { workflow { id } userErrors { message } } }'
UPDATE = "mutation ($input: UpdateWorkflowInput!) { updateWorkflow(input: $input) { userErrors { message } } }"
DELETE = "mutation ($id: ID!) { deleteWorkflow(input: { id: $id }) { userErrors { message } } }"
WATCH = """subscription ($id: ID!) { workflowChanged(workflowId: $id) {
  kind revision nodeKeys at changedBy { name } workflow { revision name graph { nodes { key } } } } }"""


class Stream:
    """A subscription, and how its first change is waited for."""

    def __init__(self, api: Api, ada: Principal, workflow_id: str) -> None:
        self.api = api
        self.ada = ada
        self.workflow_id = workflow_id
        self.revision = 1

    async def update(self, **change: object) -> None:
        given = {"id": self.workflow_id, "expectedRevision": self.revision, **change}
        answer = await self.api.run(UPDATE, {"input": given}, caller=self.ada)
        assert answer.data["updateWorkflow"]["userErrors"] == []
        self.revision += 1

    async def opened(self) -> AsyncGenerator[Any]:
        """Subscribe, and change the name until a change is told."""
        context = Context(self.api.services, self.ada, address="192.0.2.1")
        found = await self.api.schema.subscribe(WATCH, {"id": self.workflow_id}, context_value=context)
        stream = cast("AsyncGenerator[Any]", found)
        first = asyncio.create_task(anext(stream), name="first change")  # pyright: ignore[reportArgumentType]
        while not first.done():
            await self.update(name=f"Tale {self.revision}")
            await asyncio.wait([first], timeout=0.5)
        assert (await first).data["workflowChanged"]["kind"] == "EDITED"
        return stream


def graph(*keys: str) -> dict[str, object]:
    config: dict[str, object] = {"transform": {"fields": list[object]()}}
    return {"nodes": [{"key": key, "config": config} for key in keys], "edges": []}


async def test_an_update_of_the_whole_is_told_with_the_nodes_that_differ_and_a_deletion_ends_the_stream(
    api: Api, ada: Principal
) -> None:
    made = await api.run(CREATE, caller=ada)
    ours = Stream(api, ada, made.data["createWorkflow"]["workflow"]["id"])
    stream = await ours.opened()
    try:
        begun = ours.revision
        told: list[Any] = []
        counts: list[int] = []
        for nodes in (("a", "b"), ("b", "c"), ("b", "c")):
            await ours.update(graph=graph(*nodes))
        async with asyncio.timeout(20):
            while len(told) < 3:
                with counting() as statements:
                    change = (await anext(stream)).data["workflowChanged"]
                if change["revision"] > begun:
                    told.append(change)
                    counts.append(statements.count)
            assert [(one["kind"], one["revision"], one["nodeKeys"]) for one in told] == [
                ("EDITED", begun + 1, ["a", "b"]),
                ("EDITED", begun + 2, ["c", "a"]),
                ("EDITED", begun + 3, []),
            ]
            # The workflow is the one that is there now, whichever change is told.
            assert {one["workflow"]["revision"] for one in told} == {begun + 3}
            assert {one["changedBy"]["name"] for one in told} == {"ada"}
            # The workflow, and who changed it; the changes themselves are read page by page.
            assert max(counts) <= 3
            await api.run(DELETE, {"id": ours.workflow_id}, caller=ada)
            last = (await anext(stream)).data["workflowChanged"]
            assert (last["kind"], last["workflow"], last["revision"]) == ("DELETED", None, begun + 3)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
    finally:
        await stream.aclose()
    assert api.services.workflow_followers.follower_count == 0


async def test_what_is_not_there_for_the_caller_cannot_be_watched(api: Api, ada: Principal, database: Database) -> None:
    made = await api.run(CREATE, caller=ada)
    workflow_id = made.data["createWorkflow"]["workflow"]["id"]
    eve = await make_principal(database, "eve")
    answer = await api.first(WATCH, {"id": workflow_id}, caller=eve, timeout_s=10)
    assert answer is not None
    assert answer.codes == ["NOT_FOUND"]
