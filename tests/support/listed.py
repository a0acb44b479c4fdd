"""What services and stores say of several owners, for tests that ask about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from domain.ids import RunId
    from domain.run import NodeRun
    from persistence.runs import PostgresRuns

Value = TypeVar("Value")


async def sole(asked: Awaitable[Mapping[Any, Value]]) -> Value:
    """Return what is said of the one owner that was asked about."""
    (one,) = (await asked).values()
    return one


async def one_node_run(reader: PostgresRuns, run_id: RunId, key: str, item_index: int | None) -> NodeRun | None:
    """Return what one node (or item) did; None if it did not start."""
    place = (run_id, key, item_index)
    return (await reader.find_node_runs([place])).get(place)
