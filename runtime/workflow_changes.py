"""Following workflows: each change in the order in which it was stored, without gap or repeat.

What is stored is the buffer: a follower reads behind the last change that it told, when it is woken and when its client
has taken what was read before. A wake-up carries nothing, so that one too many costs a look, and one too few a wait.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import CursorExpired, DatabaseUnavailable, NotFound
from domain.workflow_changes import WorkflowChangeKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from domain.identity import Principal
    from domain.ids import WorkflowId
    from domain.ports.workflow_changes import WorkflowChanges
    from domain.workflow_changes import ToldChange
    from runtime.drafts import Drafts

_PAGE: Final = 100
_POLL_S: Final = 30.0
"""How often a follower looks by itself, should a wake-up have been lost."""
_RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class WorkflowFollowers:
    """Who follows which workflow in this process."""

    def __init__(self, changes: WorkflowChanges, drafts: Drafts) -> None:
        self._changes = changes
        self._drafts = drafts
        self._wakes: dict[UUID, dict[asyncio.Event, None]] = {}

    @property
    def follower_count(self) -> int:
        """Open followers of workflows."""
        return sum(map(len, self._wakes.values()))

    def woken(self, workflow_ids: Sequence[UUID]) -> None:
        """Let the followers of these workflows read; empty = all."""
        for workflow_id in workflow_ids or list(self._wakes):
            for wake in self._wakes.get(workflow_id, ()):
                wake.set()

    async def follow(self, actor: Principal, workflow_id: WorkflowId) -> AsyncGenerator[ToldChange]:
        """Yield each change of a workflow from now on; ends after its deletion.

        Raises:
            NotFound: the caller sees no such workflow.
            CursorExpired: the client was so slow that changes behind the last one it took are no longer kept.
        """
        if await self._drafts.find(actor.within(), workflow_id) is None:
            raise _absent()
        wake = asyncio.Event()
        self._wakes.setdefault(workflow_id, {})[wake] = None
        try:
            last = await self._changes.find_last(workflow_id)
            if last is None:
                raise _absent()
            while True:
                # Cleared before the read: what is stored from now on is read, or wakes, or both.
                wake.clear()
                page = await self._read(workflow_id, last)
                for change in page:
                    if change.number != last + 1:
                        raise CursorExpired
                    last = change.number
                    yield change
                    if change.kind is WorkflowChangeKind.DELETED:
                        return
                if len(page) < _PAGE:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_S):
                            await wake.wait()
        finally:
            del self._wakes[workflow_id][wake]
            if not self._wakes[workflow_id]:
                del self._wakes[workflow_id]

    async def _read(self, workflow_id: WorkflowId, after: int) -> Sequence[ToldChange]:
        while True:
            try:
                return await self._changes.list(workflow_id, after, _PAGE)
            except DatabaseUnavailable:
                _log.warning("workflow_changes.database_away")
                await asyncio.sleep(_RETRY_S)


def _absent() -> NotFound:
    return NotFound("There is no workflow with this id.", path=["workflowId"])
