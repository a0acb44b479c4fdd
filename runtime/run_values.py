"""The values of one run in memory: its input and those outputs that somebody reads."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from domain.events import SETTLING, NodeExpanded, NodeFailed, NodeReused, NodeSucceeded
from domain.ids import Prefix, to_global
from domain.json_codec import decode
from runtime.item_values import ItemValues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.events import Event
    from domain.json_value import Json
    from domain.ports.runs import ClaimedRun
    from domain.run import Failure
    from domain.schedule import State
    from runtime.compiled import CompiledRun


class RunValues:
    """What the templates of a run see. Values come from the bytes that are stored, so a recovered run sees the same."""

    def __init__(self, claimed: ClaimedRun, compiled: CompiledRun) -> None:
        self._compiled = compiled
        self._created_at = claimed.created_at
        self._id = to_global(Prefix.RUN, claimed.id)
        self._input: Json = decode(claimed.input)
        self._outputs: dict[str, Json] = {}
        self._run: dict[str, Json] | None = None
        self._reused: dict[int, dict[int, bytes]] = {}
        """Outputs of items that stand as an earlier run left them, until their node begins."""
        self.lists: dict[int, ItemValues] = {}
        """The items of nodes that have begun and not ended, by the index of the node."""

    def keep(self, slot: int, output: bytes) -> None:
        """Remember the output of a node if a template reads it, or that of an item until its node ends."""
        index, item = self._compiled.plan.place(slot)
        if item is not None:
            self.lists[index].keep(item, output)
        elif (key := self._compiled.plan.nodes[index].key) in self._compiled.kept:
            self._outputs[key] = {"output": decode(output)}

    def open_list(self, index: int, scope: Mapping[str, Json], count: int, items: Sequence[Json] | None = None) -> None:
        """Begin to keep what the items of a node see and return; `scope` is what gave the list."""
        values = self.lists[index] = ItemValues(self._compiled.nodes[index], scope, count, items)
        for item, output in self._reused.pop(index, {}).items():
            values.keep(item, output)

    def recall(self, state: State, event: Event) -> None:
        """Remember the output of a stored end, if it has one; called when the event is folded into the state."""
        match event:
            case NodeExpanded():
                index = self._compiled.plan.index[event.node_key]
                self.open_list(index, self.scope(state, index), event.item_count)
            case NodeReused() if event.item_index is not None:
                index = self._compiled.plan.index[event.node_key]
                self._reused.setdefault(index, {})[event.item_index] = event.output or b"null"
            case NodeSucceeded():
                self.keep(self._compiled.plan.slot_of(event), event.output or b"null")
            case NodeReused() if event.has_output:
                self.keep(self._compiled.plan.slot_of(event), event.output or b"null")
            case NodeFailed() if event.ports == ("out",):
                self.keep(self._compiled.plan.slot_of(event), event.output or b"null")
            case _:
                pass
        if isinstance(event, SETTLING) and event.item_index is None:
            self.lists.pop(self._compiled.plan.index[event.node_key], None)

    def scope(self, state: State, slot: int | None) -> dict[str, Json]:
        """Return what the templates of a node, or of one of its items, see; None = those of the run's output."""
        if self._run is None:
            self._run = {"id": self._id, "startedAt": rfc3339(state.started_at or self._created_at)}
        if slot is None:
            return {"input": self._input, "nodes": self._outputs, "run": self._run}
        index, item = self._compiled.plan.place(slot)
        if item is not None:
            return self.lists[index].scope(item)
        outputs = self._outputs
        read = {key: outputs[key] for key in self._compiled.nodes[index].reads if key in outputs}
        scope: dict[str, Json] = {"input": self._input, "nodes": read, "run": self._run}
        for source in self._compiled.plan.nodes[index].error_sources:
            failure = state.nodes[source].failure
            if failure is not None:
                scope["error"] = error_of(failure)
                break
        return scope


def error_of(failure: Failure) -> Json:
    """Return a failure as templates behind a port `error` see it."""
    return {
        "code": failure.code,
        "message": failure.message,
        "attempt": failure.attempt,
        "itemIndex": failure.item_index,
    }


def rfc3339(at: datetime) -> str:
    """Return an instant as templates see it: in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
