"""Nodes with `forEach`, and what their items did, by the log."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from domain.events import NodeEventBase
from tests.support.engines import World, world
from tests.support.kinds import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import LoggedEvent
    from domain.kinds import NodeContext, NodeKind
    from domain.workflow import Definition
    from persistence.database import Database


def each(items: str = "input", most: int = 8, on_error: str = "FAIL", **more: object) -> dict[str, Any]:
    """Return a node that is run for each item; what it returns is `value`, or what the step of its key does."""
    return {"forEach": {"items": items, "maxParallelItems": most, "onItemError": on_error}, **more}


def item_of(ctx: NodeContext) -> int:
    """Return the item that an attempt works on."""
    return int(ctx.idempotency_key.rsplit("/", 1)[-1])


def told(events: Sequence[LoggedEvent]) -> list[str]:
    """Return a log as text in which items have their number: `NodeStarted each[2]`."""
    return [
        f"{event.type} {event.node_key}{'' if event.item_index is None else f'[{event.item_index}]'}"
        if isinstance(event, NodeEventBase)
        else event.type
        for event in (logged.event for logged in events)
    ]


def whole(events: Sequence[LoggedEvent], kind: type[Any]) -> Any:
    """Return the one event of a class that is about no item."""
    told_of = [e.event for e in events if isinstance(e.event, NodeEventBase) and e.event.item_index is None]
    (found,) = [event for event in told_of if isinstance(event, kind)]
    return found


async def output_of(w: World, events: Sequence[LoggedEvent]) -> Any:
    """Return the output of a run."""
    (output,) = [output for _, output in (await w.reader.payloads([events[0].run_id])).values()]  # pyright: ignore[reportArgumentType]
    return None if output is None else json.loads(output)


async def ran(database: Database, definition: Definition, given: Any, *kinds: NodeKind) -> tuple[list[str], Any]:
    """Run a definition; return its log as text, and its output."""
    async with world(database, *(kinds or (script(),))) as w:
        events = await w.run(definition, given)
        return told(events), await output_of(w, events)


class Crowd:
    """A step that counts how many are at work, and lets them go one by one."""

    def __init__(self) -> None:
        self.at_work = self.most = 0
        self.arrived = asyncio.Condition()
        self.go = asyncio.Semaphore(0)

    async def __call__(self, _: NodeContext) -> None:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        async with self.arrived:
            self.arrived.notify_all()
        await self.go.acquire()
        self.at_work -= 1

    async def reaches(self, count: int) -> None:
        """Wait until so many are at work."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: self.at_work == count)
