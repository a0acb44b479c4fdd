"""`ls`, `runs` and `rerun`: what there is, what ran, and running it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from rich.console import Console

from gql.command_options import ApiKey, DataDir, IsJson, RunId, Url, option, run, target

if TYPE_CHECKING:
    import typer

_MAX_LISTED = 1_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ls")(list_workflows)
    app.command("runs")(list_runs)
    app.command("rerun")(rerun)


def list_workflows(is_json: IsJson = False, url: Url = None, api_key: ApiKey = None, data_dir: DataDir = None) -> None:
    """List the workflows: slug, name, revision, published version, problems, and the last run of each."""
    from gql.commands.lists import show_workflows  # noqa: PLC0415

    run(show_workflows(target(url, api_key, data_dir), Console(), is_json=is_json))


def list_runs(  # noqa: PLR0917 -- Typer passes them by name
    slug: Annotated[str | None, option("--workflow", "WORKFLOW", "Only runs of the workflow with this slug.")] = None,
    statuses: Annotated[
        list[str] | None, option("--status", "STATUS", "Only runs in this state, such as `failed`. Repeatable.")
    ] = None,
    limit: Annotated[int, option("--limit", "LIMIT", "How many at most, newest first.", min=1, max=_MAX_LISTED)] = 20,
    is_json: IsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """List recent runs, newest first: status, workflow, how long it took, and why it failed."""
    from gql.commands.lists import Wanted, show_runs  # noqa: PLC0415

    wanted = Wanted(slug, tuple(statuses or ()), limit)
    run(show_runs(target(url, api_key, data_dir), wanted, Console(), is_json=is_json))


def rerun(  # noqa: PLR0917 -- Typer passes them by name
    run_id: RunId,
    begin: Annotated[
        list[str] | None,
        option(
            "--from",
            "FROM",
            "`failed` (what did not succeed), `start` (everything), or a node's key. Repeatable for keys.",
        ),
    ] = None,
    is_draft: Annotated[
        bool, option("--draft", "DRAFT", "Run the draft as it is now, not the graph of the run.")
    ] = False,
    is_published: Annotated[
        bool, option("--published", "PUBLISHED", "Run the published version, not the graph of the run.")
    ] = False,
    is_dry: Annotated[bool, option("--dry-run", "DRY_RUN", "Only tell what would run and what be reused.")] = False,
    is_watched: Annotated[bool, option("--watch -w", "WATCH", "Draw the new run live until it ends.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> int:
    """Run something again, reusing what earlier nodes returned.

    Without --from, what did not succeed runs, and all that lies behind it. What runs again has its effects again. With
    --watch the exit status is 0 only if the new run SUCCEEDED.
    """
    from gql.commands.reruns import Again, rerun_run  # noqa: PLC0415

    again = Again(run_id, tuple(begin or ("failed",)), is_draft, is_published, is_dry)
    return run(rerun_run(target(url, api_key, data_dir), again, Console(), is_watched=is_watched))
