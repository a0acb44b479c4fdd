"""`cancel`, `pause` and `resume`: stopping runs, for good or for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.run import RunStatus
from gql.client.faults import ClientFault
from gql.client.steering_operations import CANCEL_RUN, CANCEL_RUNS, COUNT_RUNS, PAUSE_RUN, RESUME_RUN
from gql.commands.lists import run_filter
from gql.commands.target import open_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.json_value import Json
    from gql.client.session import ApiClient
    from gql.commands.lists import Wanted
    from gql.commands.target import Target


async def cancel_run(target: Target, run_id: str, reason: str | None) -> str:
    """Ask the run to stop and return its status.

    Raises:
        RequestRefused: there is no such run, or it has ended.
    """
    return await _steer(target, CANCEL_RUN, {"id": run_id, "reason": reason})


async def count_cancelable(target: Target, wanted: Wanted) -> int:
    """Return how many unfinished runs are wanted.

    Raises:
        ClientFault: a status that is none, or one of runs that have ended.
        RequestRefused: there is no such workflow.
    """
    unfinished: list[Json] = [status.value for status in RunStatus if not status.is_finished]
    async with open_client(target) as client:
        chosen = {"statuses": unfinished, **await _chosen(client, wanted)}
        runs: dict[str, Any] = (await client.execute(COUNT_RUNS, {"filter": chosen})).get("runs") or {}
    return int(runs.get("totalCount") or 0)


async def cancel_runs(target: Target, wanted: Wanted, reason: str | None) -> int:
    """Ask all unfinished runs that are wanted to stop and return how many were asked.

    Raises:
        ClientFault: a status that is none, or one of runs that have ended.
        RequestRefused: there is no such workflow, or the caller may stop nothing.
    """
    count, has_more = 0, True
    async with open_client(target) as client:
        chosen = await _chosen(client, wanted)
        while has_more:
            payload = await client.mutate(CANCEL_RUNS, {"filter": chosen, "reason": reason})
            count += int(payload.get("canceledCount") or 0)
            has_more = payload.get("hasMore") is True
    return count


async def pause_run(target: Target, run_id: str) -> str:
    """Let the run start nothing any more and return its status.

    Raises:
        RequestRefused: there is no such run, or it cannot be paused.
    """
    return await _steer(target, PAUSE_RUN, {"id": run_id})


async def resume_run(target: Target, run_id: str) -> str:
    """Let a paused run go on and return its status.

    Raises:
        RequestRefused: there is no such run, or it is not paused.
    """
    return await _steer(target, RESUME_RUN, {"id": run_id})


async def _chosen(client: ApiClient, wanted: Wanted) -> dict[str, Json]:
    chosen = await run_filter(client, wanted)
    for text in wanted.statuses:
        if RunStatus(text.upper()).is_finished:
            raise ClientFault(f"Runs that are {text.upper()} have ended; there is nothing to stop.")
    return chosen


async def _steer(target: Target, document: str, variables: Mapping[str, Json]) -> str:
    async with open_client(target) as client:
        payload = await client.mutate(document, variables)
    run: dict[str, Any] = payload.get("run") or {}
    return str(run.get("status"))
