"""`serve` and `worker`: the processes that a service is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from rich.console import Console

from gql.command_options import DatabaseUrl, DataDir, Port, option, run, settings

if TYPE_CHECKING:
    import typer

    from runtime.settings import Settings

MOST_WORKERS: Final = 32
_MOST_RUNS: Final = 100_000
_LONGEST_WAIT_S: Final = 3_600


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("worker")(worker)


def serve(  # noqa: PLR0917 -- Typer passes them by name
    host: Annotated[str | None, option("--host", "HOST", "The address to listen on; 127.0.0.1 if absent.")] = None,
    port: Port = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    workers: Annotated[
        int, option("--workers", "WORKERS", "How many processes serve at one address.", min=1, max=MOST_WORKERS)
    ] = 1,
    is_without_runs: Annotated[
        bool, option("--no-runs", "NO_RUNS", "Execute no runs here: `anabranch worker` processes do.")
    ] = False,
) -> None:
    """Serve the API, the pages and the embedded engine until a signal comes.

    The embedded database is migrated at the start; an outside one by `anabranch migrate`. While there is no account
    and others than this machine can connect, the set-up link that makes the first one is printed.
    """
    from gql.commands.hosting import serve_forever, serve_in_processes  # noqa: PLC0415

    given = settings(host=host, port=port, data_dir=data_dir, database_url=database_url)
    if is_without_runs:
        given = _with_room_for(given, 0)
    console = Console()
    run(serve_forever(given, console) if workers == 1 else serve_in_processes(given, console, workers))


def worker(
    concurrency: Annotated[
        int | None,
        option(
            "--concurrency",
            "CONCURRENCY",
            "Runs at once; ANABRANCH_RUNS__MAX_CONCURRENT_RUNS if absent.",
            min=1,
            max=_MOST_RUNS,
        ),
    ] = None,
    wait_s: Annotated[
        int, option("--wait", "WAIT", "Seconds to wait for the database and its tables.", min=0, max=_LONGEST_WAIT_S)
    ] = 60,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Execute runs without serving anybody, until a signal comes; then others take them over.

    Takes the settings of `serve`, and shares its database: an outside one by ANABRANCH_DATABASE_URL, the embedded one by
    the same data directory on the same machine. It makes no tables: it waits until `serve` or `migrate` has made them, and
    ends with status 1 if nobody does.
    """
    from gql.commands.working import work_forever  # noqa: PLC0415

    given = settings(data_dir=data_dir, database_url=database_url)
    if concurrency is not None:
        given = _with_room_for(given, concurrency)
    run(work_forever(given, Console(), wait_s))


def _with_room_for(given: Settings, count: int) -> Settings:
    runs = given.runs.model_copy(update={"max_concurrent_runs": count})
    return given.model_copy(update={"runs": runs})
