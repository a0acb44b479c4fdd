"""`ls` and `runs`: what there is and what ran, as a table for people or as JSON for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import typer
from rich.table import Table
from rich.text import Text

from domain.run import RunStatus
from gql.client.faults import ClientFault, RequestRefused
from gql.client.list_operations import LIST_RUNS, LIST_WORKFLOWS
from gql.commands.target import open_client
from gql.commands.workflow_runs import find_workflow
from gql.live_tree import printable
from gql.printing import print_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from domain.json_value import Json
    from gql.client.session import ApiClient
    from gql.commands.target import Target

_PAGE = 100
_MAX_WORKFLOWS = 10_000
_MINUTE_MS = 60_000
_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "CRASHED": "red", "CANCELED": "yellow"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs."""

    slug: str | None = None
    statuses: tuple[str, ...] = ()
    limit: int = 20


async def show_workflows(target: Target, console: Console, *, is_json: bool) -> None:
    """Do what `anabranch ls` says.

    Raises:
        ServerUnreachable, SignInNeeded: the server cannot be asked.
    """
    async with open_client(target) as client:
        found = await pages(client, LIST_WORKFLOWS, {}, "workflows", _MAX_WORKFLOWS)
    if is_json:
        _print_json([_workflow(one) for one in found])
    elif not found:
        console.print("There is no workflow yet; `anabranch new` begins one.")
    else:
        rows = [_workflow_row(_workflow(one)) for one in found]
        _print_table(console, ("slug", "name", "revision", "published", "problems", "last run"), rows)


async def show_runs(target: Target, wanted: Wanted, console: Console, *, is_json: bool) -> None:
    """Do what `anabranch runs` says.

    Raises:
        ClientFault: a status that is none.
        RequestRefused: there is no such workflow.
    """
    async with open_client(target) as client:
        chosen = await run_filter(client, wanted)
        found = await pages(client, LIST_RUNS, {"filter": chosen}, "runs", wanted.limit)
    if is_json:
        _print_json([_run(one) for one in found])
    elif not found:
        console.print("No run is like that." if chosen else "Nothing has run yet.")
    else:
        rows = [_run_row(_run(one)) for one in found]
        _print_table(console, ("run", "workflow", "status", "nodes", "started", "took", "error"), rows)


async def run_filter(client: ApiClient, wanted: Wanted) -> dict[str, Json]:
    """Return the `RunFilter` of what is wanted.

    Raises:
        ClientFault: a status that is none.
        RequestRefused: there is no such workflow.
    """
    chosen: dict[str, Json] = {}
    if wanted.statuses:
        chosen["statuses"] = [_status(text) for text in wanted.statuses]
    if wanted.slug is not None:
        workflow = await find_workflow(client, wanted.slug)
        if workflow is None:
            raise RequestRefused(f"There is no workflow {wanted.slug!r}; `anabranch ls` lists them.", "NOT_FOUND")
        chosen["workflowIds"] = [workflow["id"]]
    return chosen


async def pages(
    client: ApiClient, document: str, variables: dict[str, Json], field: str, limit: int
) -> list[dict[str, Any]]:
    """Return the nodes of a connection, page by page, at most `limit`."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while len(found) < limit:
        asked = {**variables, "first": min(_PAGE, limit - len(found)), "after": after}
        page: dict[str, Any] = (await client.execute(document, asked)).get(field) or {}
        found += page.get("nodes") or ()
        part: dict[str, Any] = page.get("pageInfo") or {}
        after = part.get("endCursor")
        if not part.get("hasNextPage") or after is None:
            break
    return found[:limit]


def _status(text: str) -> str:
    try:
        return RunStatus(text.upper()).value
    except ValueError:
        known = ", ".join(status.value.lower() for status in RunStatus)
        raise ClientFault(f"{text!r} is no status of a run; there are {known}.") from None


def _workflow(one: dict[str, Any]) -> dict[str, Any]:
    problems: Sequence[dict[str, Any]] = one.get("problems") or ()
    published: dict[str, Any] = one.get("publishedVersion") or {}
    return {
        "id": one.get("id"),
        "slug": one.get("slug"),
        "name": one.get("name"),
        "revision": one.get("revision"),
        "publishedVersion": published.get("number"),
        "hasUnpublishedChanges": one.get("hasUnpublishedChanges"),
        "errors": sum(problem.get("severity") == "ERROR" for problem in problems),
        "warnings": sum(problem.get("severity") != "ERROR" for problem in problems),
        "updatedAt": one.get("updatedAt"),
        "latestRun": one.get("latestRun"),
    }


def _run(one: dict[str, Any]) -> dict[str, Any]:
    workflow: dict[str, Any] = one.get("workflow") or {}
    trigger: dict[str, Any] = one.get("trigger") or {}
    return {
        **{name: one.get(name) for name in ("id", "status", "createdAt", "durationMs", "progress", "error")},
        "workflow": workflow.get("slug"),
        "trigger": trigger.get("kind"),
    }


def _workflow_row(one: dict[str, Any]) -> list[Text]:
    faults = [f"{one[name]} {name}" for name in ("errors", "warnings") if one[name]]
    run: dict[str, Any] = one["latestRun"] or {}
    last = _coloured(str(run["status"]), f" {_when(run.get('createdAt'))}") if run else Text("never")
    problems = Text(", ".join(faults) or "none", style="red" if one["errors"] else "")
    return [_plain(one["slug"]), _plain(one["name"]), _plain(one["revision"]), _published(one), problems, last]


def _published(one: dict[str, Any]) -> Text:
    number = one["publishedVersion"]
    if number is None:
        return Text("never")
    return _plain(f"version {number}, draft differs" if one["hasUnpublishedChanges"] else f"version {number}")


def _run_row(one: dict[str, Any]) -> list[Text]:
    progress: dict[str, Any] = one["progress"] or {}
    error: dict[str, Any] = one["error"] or {}
    place = f"{error['nodeKey']}: " if error.get("nodeKey") else ""
    return [
        _plain(one["id"]),
        _plain(one["workflow"]),
        _coloured(str(one["status"])),
        _plain(f"{progress.get('done')}/{progress.get('total')}"),
        _plain(_when(one["createdAt"])),
        _plain(_took(one["durationMs"])),
        _plain(f"{place}{error['code']}" if error else ""),
    ]


def _plain(value: object) -> Text:
    return Text(printable(str(value)))


def _coloured(status: str, behind: str = "") -> Text:
    return Text.assemble((status, _COLOURS.get(status, "cyan")), printable(behind))


def _when(instant: object) -> str:
    return str(instant)[:19].replace("T", " ") if instant else ""


def _took(duration_ms: object) -> str:
    if not isinstance(duration_ms, int):
        return ""
    return f"{duration_ms / 1_000:.1f} s" if duration_ms < _MINUTE_MS else f"{duration_ms / _MINUTE_MS:.1f} min"


def _print_table(console: Console, names: Iterable[str], rows: Sequence[Sequence[Text]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    print_lines(console, table)


def _print_json(found: object) -> None:
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
