"""Kills the demo's own server while a model's answer streams through it, and starts it again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from domain.run import NodeRunStatus
from gql.client.events import NodeOutputDelta, RunRecovered
from gql.demo.tally import Kill, Tally

if TYPE_CHECKING:
    from gql.client.events import Event
    from gql.client.run_view import RunView

_PIECES = 4
"""Pieces of the answer that are seen before the first kill; each further kill comes two pieces later."""


class Victim(Protocol):
    """A server that is killed and started again."""

    def kill(self) -> int:
        """Send SIGKILL and return the id of the process."""
        ...

    def restart(self) -> None:
        """Start anew at the same address; blocks until it serves."""
        ...


class Chaos:
    """Looks on at a run and kills the server as often as wanted, each time in the middle of another attempt's answer."""

    def __init__(self, server: Victim, kills: int, group: asyncio.TaskGroup) -> None:
        self.tally = Tally()
        self._server = server
        self._kills = kills
        self._group = group
        self._pieces = 0
        self._killed_attempt = 0
        self._killed_at = 0.0

    def see(self, event: Event, view: RunView) -> str | None:
        """Count the event, and kill the server if its time has come; returns what happened, for people."""
        self.tally.arrived.append(event)
        match event:
            case RunRecovered():
                return self._recovered()
            # What a killed server had sent already still arrives: it belongs to the attempt that was killed.
            case NodeOutputDelta() if event.attempt > self._killed_attempt:
                self._pieces += 1
                if len(self.tally.kills) < self._kills and self._pieces >= _PIECES + 2 * len(self.tally.kills):
                    return self._kill(event, view)
            case _:
                pass
        return None

    def see_again(self, event: Event) -> None:
        """Count an event that came once too often."""
        self.tally.arrived.append(event)

    def _kill(self, event: NodeOutputDelta, view: RunView) -> str:
        pid = self._server.kill()
        self._killed_at = asyncio.get_running_loop().time()
        done = frozenset(key for key, node in view.nodes.items() if node.status is NodeRunStatus.SUCCEEDED)
        pieces, self._pieces, self._killed_attempt = self._pieces, 0, event.attempt
        self.tally.kills.append(Kill(pieces, done))
        self._group.create_task(asyncio.to_thread(self._server.restart), name="restart the server")
        return f"✖ SIGKILL: the server (process {pid}) is dead after {pieces} pieces of the answer. Starting it again …"

    def _recovered(self) -> str | None:
        if not self.tally.kills or self.tally.kills[-1].recovery_s is not None:
            return None
        kill = self.tally.kills[-1]
        kill.recovery_s = asyncio.get_running_loop().time() - self._killed_at
        return (
            f"✔ The run goes on {kill.recovery_s:.1f} s after the kill: {len(kill.done)} nodes are kept, "
            "the answer begins again, the stream continues behind the last event seen."
        )
