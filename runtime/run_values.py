"""The values of one run in memory: its input and those outputs that somebody reads."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from domain.events import NodeFailed, NodeSucceeded
from domain.ids import Prefix, to_global
from domain.json_codec import decode

if TYPE_CHECKING:
    from datetime import datetime

    from domain.events import Event
    from domain.json_value import Json
    from domain.ports.runs import ClaimedRun
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

    def keep(self, key: str, output: bytes) -> None:
        """Remember a node's output if a template reads it."""
        if key in self._compiled.kept:
            self._outputs[key] = {"output": decode(output)}

    def recall(self, event: Event) -> None:
        """Remember the output of a stored end, if it has one."""
        if isinstance(event, NodeSucceeded) or (isinstance(event, NodeFailed) and event.ports == ("out",)):
            self.keep(event.node_key, event.output or b"null")

    def scope(self, state: State, index: int | None) -> dict[str, Json]:
        """Return what the templates of a node see; None = those of the run's output."""
        if self._run is None:
            self._run = {"id": self._id, "startedAt": _rfc3339(state.started_at or self._created_at)}
        if index is None:
            return {"input": self._input, "nodes": self._outputs, "run": self._run}
        outputs = self._outputs
        read = {key: outputs[key] for key in self._compiled.nodes[index].reads if key in outputs}
        scope: dict[str, Json] = {"input": self._input, "nodes": read, "run": self._run}
        for source in self._compiled.plan.nodes[index].error_sources:
            failure = state.nodes[source].failure
            if failure is not None:
                scope["error"] = {"code": failure.code, "message": failure.message, "attempt": failure.attempt}
                break
        return scope


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
