"""The `anabranch` command: options, help and exit statuses; what commands do stands in `gql/commands`.

Exit status: 0 = done (with `--watch`: the run SUCCEEDED), 1 = a fault or another end, 2 = wrong usage, 130 = interrupted,
143 = told to stop.
What a command needs is imported when it is called, so that help and errors come at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from typer.exceptions import TyperException

from domain.errors import SetupFault
from gql.commands.explaining import explain
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from gql.commands.target import Target

_INTERRUPTED = 130
_TERMINATED = 143
_BROKEN_PIPE = 141
Result = TypeVar("Result")

app = typer.Typer(
    name="anabranch",
    help="Compose a workflow as a graph, run it durably, watch every node and every token live.",
    epilog="Start with `anabranch demo`, then `anabranch dev`. All settings: ANABRANCH_… variables, or a file `.env`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(help="Accounts, directly in the database.", no_args_is_help=True)
app.add_typer(users, name="user")
collections = typer.Typer(help="Vector collections.", no_args_is_help=True)
app.add_typer(collections, name="collection")


def _option(names: str, variable: str, text: str, **more: Any) -> Any:
    return typer.Option(*names.split(), envvar=f"ANABRANCH_{variable}", help=text, show_envvar=True, **more)


Url = Annotated[
    str | None,
    _option("--url", "URL", "The server; if absent a running `dev`, else the last login, else http://127.0.0.1:8000."),
]
ApiKey = Annotated[str | None, _option("--api-key", "API_KEY", "A key or access token instead of the stored login.")]
DataDir = Annotated[
    Path | None, _option("--data-dir", "DATA_DIR", "Where the embedded database and the keys lie; `data` if absent.")
]
DatabaseUrl = Annotated[
    str | None, _option("--database-url", "DATABASE_URL", "An outside PostgreSQL; the embedded one if absent.")
]
Port = Annotated[
    int | None, _option("--port", "PORT", "The port to listen on; 8000 if absent, 0 = a free one.", min=0, max=65_535)
]
RunId = Annotated[str, typer.Argument(help="The run's id, such as run_01jd4v…", show_default=False)]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        try:
            typer.echo(f"anabranch {version('anabranch')}")
        except PackageNotFoundError:
            typer.echo("anabranch (not installed)")
        raise typer.Exit


@app.callback()
def root(
    is_version_asked: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Compose a workflow as a graph, run it durably, watch every node and every token live."""


@app.command()
def dev(port: Port = None, data_dir: DataDir = None) -> None:
    """Run everything on this machine in one line.

    Embedded database, local model unless ANABRANCH_LLM__BASE_URL is set, an account, and a link to GraphiQL that is
    signed in. Listens on loopback only. Other commands find it by themselves.
    """
    from gql.commands.hosting import serve_dev  # noqa: PLC0415

    _run(serve_dev(_settings(port=port, data_dir=data_dir), Console()))


@app.command()
def demo(
    is_kept: Annotated[bool, _option("--keep", "KEEP", "Leave the server running at the end, until Ctrl-C.")] = False,
    kills: Annotated[
        int,
        _option(
            "--chaos", "CHAOS", "How often the server is killed while the answer streams; 0 = never.", min=0, max=5
        ),
    ] = 1,
    data_dir: DataDir = None,
) -> int:
    """See everything at work in ninety seconds: search, a model, a table, and a server that is killed in mid-stream.

    Starts PostgreSQL, the server and a model in processes of their own, and is an ordinary client of the public API:
    ingests the Python library, composes examples/ask.yaml in one mutation, runs it and draws it live. While the answer
    streams the server is killed (SIGKILL) and started again; what was kept, lost, doubled and written is counted. Exit
    status 0 only if the run SUCCEEDED and every count is right.
    """
    from gql.demo.demo import Wish, run_demo  # noqa: PLC0415

    return _run(run_demo(_settings(data_dir=data_dir), Console(), Wish(kills=kills, is_kept=is_kept)))


@app.command()
def new(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which example; all are listed if absent.")
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; ./NAME.yaml if absent.", show_default=False)
    ] = None,
    is_forced: Annotated[bool, _option("--force", "FORCE", "Overwrite a file that is there already.")] = False,
) -> None:
    """List the examples, or begin a workflow of your own as a copy of one."""
    from gql.commands.calling import program  # noqa: PLC0415
    from gql.commands.examples import copy_example, print_examples  # noqa: PLC0415

    if name is None:
        print_examples(Console())
        return
    path = copy_example(name, file, is_forced=is_forced)
    typer.echo(f"Wrote {path}; run it: {program()} run {path} --watch")


@app.command()
def serve(
    host: Annotated[str | None, _option("--host", "HOST", "The address to listen on; 127.0.0.1 if absent.")] = None,
    port: Port = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the API, the pages and the embedded engine until a signal comes.

    The embedded database is migrated at the start; an outside one by `anabranch migrate`. While there is no account
    and others than this machine can connect, the set-up link that makes the first one is printed.
    """
    from gql.commands.hosting import serve_forever  # noqa: PLC0415

    _run(serve_forever(_settings(host=host, port=port, data_dir=data_dir, database_url=database_url), Console()))


@app.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database to the schema of this version; several processes may do so at once."""
    from runtime.services import migrate_database  # noqa: PLC0415

    console = Console()
    with console.status("Migrating …"):
        _run(migrate_database(_settings(data_dir=data_dir, database_url=database_url)))
    console.print("The database has the schema of this version.")


@app.command()
def login(
    url: Url = None,
    email: Annotated[str | None, _option("--email", "EMAIL", "The account's address; asked for if absent.")] = None,
    password: Annotated[str | None, _option("--password", "PASSWORD", "Its password; asked for if absent.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Sign in at a server and keep the session for later commands.

    The account of a running `anabranch dev` is taken by itself unless --email names another.
    """
    from gql.commands.target import login as sign_in  # noqa: PLC0415

    target = _target(url, None, data_dir)
    address = target.address()
    developer = target.developer_at(address)
    if email is None and developer is not None:
        email, password = developer.email, developer.password
    email = email or str(typer.prompt(f"E-mail of your account at {address}"))
    password = password or str(typer.prompt("Password", hide_input=True))
    _run(sign_in(target, address, email, password))
    typer.echo(f"Signed in at {address} as {email}; the session is kept in {target.logins.path}.")


@app.command()
def run(  # noqa: PLR0917 -- Typer passes them by name
    source: Annotated[str, typer.Argument(metavar="FILE|SLUG", help="A workflow file (.yaml), or a workflow's slug.")],
    pairs: Annotated[
        list[str] | None,
        _option(
            "--input -i", "INPUT", "name=value, as JSON where it is JSON and the schema wants no text. Repeatable."
        ),
    ] = None,
    input_json: Annotated[str | None, _option("--input-json", "INPUT_JSON", "The input as one JSON object.")] = None,
    is_watched: Annotated[bool, _option("--watch -w", "WATCH", "Draw the run live until it ends.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> int:
    """Start a run of a file or of a stored workflow.

    A FILE makes the workflow of its slug, or brings it to what the file says. With --watch the
    exit status is 0 only if the run SUCCEEDED. An input `server` that the workflow asks for is filled in.
    """
    from gql.commands.workflow_runs import Given, run_workflow  # noqa: PLC0415

    given = Given(tuple(pairs or ()), input_json)
    target = _target(url, api_key, data_dir)
    return _run(run_workflow(target, source, given, Console(), is_watched=is_watched))


@app.command()
def watch(run_id: RunId, url: Url = None, api_key: ApiKey = None, data_dir: DataDir = None) -> int:
    """Draw a run until it ends, wherever it was started.

    Connections that break are made again behind the last event. Exit status 0 only if the run SUCCEEDED. Interrupting
    the command leaves the run alone.
    """
    from gql.commands.workflow_runs import watch_run  # noqa: PLC0415

    return _run(watch_run(_target(url, api_key, data_dir), run_id, Console()))


@app.command()
def cancel(
    run_id: RunId,
    reason: Annotated[str | None, _option("--reason", "REASON", "Why; the run's log keeps it.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a run to stop; its nodes and their outside connections are stopped with it."""
    from gql.commands.workflow_runs import cancel_run  # noqa: PLC0415

    status = _run(cancel_run(_target(url, api_key, data_dir), run_id, reason))
    told = f"is {status}" if status.startswith("CANCEL") else f"is asked to stop; until it does it is {status}"
    typer.echo(f"{run_id} {told}.")


@users.command("create")
def create_user(
    email: Annotated[str, typer.Argument(help="The address to sign in with.", show_default=False)],
    name: Annotated[str | None, _option("--name", "NAME", "The name to show; from the address if absent.")] = None,
    password: Annotated[
        str | None, _option("--password", "PASSWORD", "10 characters or more; asked for if absent.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an account with a workspace of its own; needs the database, not the server."""
    from gql.commands.accounts import create_user as create  # noqa: PLC0415

    password = password or str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    user = _run(create(_settings(data_dir=data_dir, database_url=database_url), email, password, name))
    typer.echo(f"Made the account {user.email}.")


@collections.command("ingest")
def ingest_files(
    name: Annotated[str, typer.Argument(help="The collection; it is made if there is none.", show_default=False)],
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER…", help="What to write.", show_default=False)],
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Write files into a collection.

    Text files (.md, .rst, .txt; of a folder, all inside) are known by their paths; a .jsonl has one document
    `{externalId, text, metadata}` a line. What has not changed since is not embedded again.
    """
    from gql.commands.ingestion import ingest  # noqa: PLC0415

    _run(ingest(_target(url, api_key, data_dir), name, paths, Console()))


@app.command()
def schema() -> None:
    """Print the API's schema in GraphQL's schema language."""
    from gql.schema import schema_text  # noqa: PLC0415

    sys.stdout.write(schema_text())


@app.command()
def doctor(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> int:
    """Look at all that Anabranch needs here and say what to do about what is missing.

    Python, data directory, disk, database, migrations, model endpoint, pages. Exit status 1 if anything is wrong.
    """
    from gql.commands.doctor import doctor as examine  # noqa: PLC0415

    return _run(examine(_settings(data_dir=data_dir, database_url=database_url), Console()))


def _settings(**given: Any) -> Settings:
    """Return the settings with the options that were given.

    Raises:
        SetupFault: a variable has no acceptable value.
    """
    try:
        return (
            Settings.model_validate({}) if not given else Settings(**{k: v for k, v in given.items() if v is not None})
        )  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        variable = "ANABRANCH_" + "__".join(str(step).upper() for step in first["loc"])
        raise SetupFault(f"{variable} is not acceptable: {first['msg']}.") from error
    except SettingsError as error:
        raise SetupFault(f"The settings cannot be read: {error}.") from error


def _target(url: str | None, api_key: str | None, data_dir: Path | None) -> Target:
    from gql.commands.target import Target  # noqa: PLC0415

    return Target(url, api_key, _settings(data_dir=data_dir).data_dir)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    from gql.commands.loop import run as run_to_end  # noqa: PLC0415

    return run_to_end(work)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: one sentence about what went wrong, never a traceback."""
    sys.exit(_status(sys.argv[1:] if arguments is None else arguments))


def _status(arguments: Sequence[str]) -> int:
    try:
        returned = typer.main.get_command(app).main(list(arguments), prog_name="anabranch", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except asyncio.CancelledError:
        return _TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return _BROKEN_PIPE
    except TyperException as error:
        return _tell(error.format_message(), error.exit_code)
    except Exception as error:  # noqa: BLE001 -- the last catch: nobody above could tell the user
        return _tell(explain(error), 1)
    return returned if isinstance(returned, int) else 0


def _tell(message: str, status: int) -> int:
    from gql.live_tree import printable  # noqa: PLC0415

    typer.echo(printable(message), err=True)  # it may be a server's, and is not to steer the terminal
    return status


if __name__ == "__main__":
    main()
