"""`rerun`: a new run that reuses what an earlier one recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gql.client.faults import ClientFault
from gql.client.list_operations import RERUN
from gql.commands.target import open_client
from gql.commands.workflow_runs import watch_to_end

if TYPE_CHECKING:
    from rich.console import Console

    from domain.json_value import Json
    from gql.commands.target import Target

_WHOLE = {"failed": "FAILED", "start": "START"}


@dataclass(frozen=True, slots=True)
class Again:
    """What is asked for: `begin` is `failed`, `start`, or keys of nodes."""

    run_id: str
    begin: tuple[str, ...]
    is_draft: bool = False
    is_published: bool = False
    is_dry: bool = False

    def fields(self) -> dict[str, Json]:
        """Return the input of `rerunRun`.

        Raises:
            ClientFault: options that exclude each other.
        """
        if self.is_draft and self.is_published:
            raise ClientFault("Give --draft or --published, not both.")
        whole = [word for word in self.begin if word in _WHOLE]
        if whole and len(self.begin) > 1:
            raise ClientFault(f"--from {whole[0]} stands alone; only keys of nodes can be several.")
        chosen: dict[str, Json] = {"from": _WHOLE[whole[0]]} if whole else {"from": "NODES", "nodeKeys": [*self.begin]}
        graph = "DRAFT" if self.is_draft else "PUBLISHED" if self.is_published else "SAME"
        return {"runId": self.run_id, **chosen, "graph": graph, "isDryRun": self.is_dry}


async def rerun_run(target: Target, again: Again, console: Console, *, is_watched: bool) -> int:
    """Do what `anabranch rerun` says and return the exit status.

    Raises:
        ClientFault: options that exclude each other.
        RequestRefused: there is no such run, it cannot be run again, or what it recorded is gone.
    """
    fields = again.fields()
    async with open_client(target) as client:
        payload = await client.mutate(RERUN, {"input": fields})
        _tell(payload, console)
        if again.is_dry:
            return 0
        run: dict[str, Any] | None = payload.get("run")
        if run is None:
            raise ClientFault("The server gave no run after rerunRun.")
        run_id = str(run["id"])
        if is_watched:
            return await watch_to_end(client, run_id, console)
    console.print(f"Started {run_id}; anabranch watch {run_id}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _tell(payload: dict[str, Any], console: Console) -> None:
    for word, field in (("Reused", "reusedNodeKeys"), ("Run again", "executedNodeKeys")):
        keys: list[str] = payload.get(field) or []
        told = f"{word}: {', '.join(keys) or 'nothing'}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
