"""`cancel`, `pause` and `resume`: stopping runs, for good or for a while."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gql.command_options import ApiKey, DataDir, RunId, Url, option, run, target


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("cancel")(cancel)
    app.command("pause")(pause)
    app.command("resume")(resume)


def cancel(  # noqa: PLR0917 -- Typer passes them by name
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="The run's id, such as run_01jd4v…", show_default=False)
    ] = None,
    slug: Annotated[str | None, option("--workflow", "WORKFLOW", "All runs of the workflow with this slug.")] = None,
    statuses: Annotated[
        list[str] | None, option("--status", "STATUS", "All runs in this state, such as `queued`. Repeatable.")
    ] = None,
    is_all: Annotated[bool, option("--all", "ALL", "All unfinished runs of the workspace.")] = False,
    is_agreed: Annotated[bool, option("--yes -y", "YES", "Stop many runs without asking first.")] = False,
    reason: Annotated[str | None, option("--reason", "REASON", "Why; the run's log keeps it.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a run, or all unfinished runs that match, to stop.

    Their nodes, the outside connections of these, and the runs that they have called are stopped with them. Before many
    runs are stopped, their number is shown and a yes is asked for.
    """
    from gql.commands.lists import Wanted  # noqa: PLC0415
    from gql.commands.steering import cancel_run, cancel_runs, count_cancelable  # noqa: PLC0415

    has_filter = is_all or slug is not None or bool(statuses)
    if (run_id is not None) is has_filter:
        raise typer.BadParameter("Name one run, or say which with --workflow, --status or --all.")
    server = target(url, api_key, data_dir)
    if run_id is None:
        wanted = Wanted(slug, tuple(statuses or ()))
        is_sure = is_agreed or _is_confirmed(run(count_cancelable(server, wanted)))
        count = run(cancel_runs(server, wanted, reason)) if is_sure else 0
        typer.echo(f"{_runs(count)} asked to stop.")
        return
    status = run(cancel_run(server, run_id, reason))
    told = f"is {status}" if status.startswith("CANCEL") else f"is asked to stop; until it does it is {status}"
    typer.echo(f"{run_id} {told}.")


def _is_confirmed(count: int) -> bool:
    if count and not sys.stdin.isatty():
        raise typer.BadParameter(f"{_runs(count)} not finished; give --yes to stop them without being asked.")
    return count > 0 and typer.confirm(f"{_runs(count)} not finished. Stop all of them?")


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count:,} runs are"


def pause(run_id: RunId, url: Url = None, api_key: ApiKey = None, data_dir: DataDir = None) -> None:
    """Stop a run for a while: nodes at work end, and none starts until it is resumed."""
    from gql.commands.steering import pause_run  # noqa: PLC0415

    status = run(pause_run(target(url, api_key, data_dir), run_id))
    told = f"is {status}" if status == "PAUSED" else f"is asked to pause; until it does it is {status}"
    typer.echo(f"{run_id} {told}.")


def resume(run_id: RunId, url: Url = None, api_key: ApiKey = None, data_dir: DataDir = None) -> None:
    """Let a paused run go on."""
    from gql.commands.steering import resume_run  # noqa: PLC0415

    run(resume_run(target(url, api_key, data_dir), run_id))
    typer.echo(f"{run_id} goes on; anabranch watch {run_id}")
