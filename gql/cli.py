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
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from typer.exceptions import TyperException

from gql import file_commands, key_commands, list_commands, process_commands, steering_commands
from gql.command_options import ApiKey, DatabaseUrl, DataDir, Port, RunId, Url
from gql.command_options import option as _option
from gql.command_options import run as _run
from gql.command_options import settings as _settings
from gql.command_options import target as _target
from gql.commands.explaining import explain
from gql.commands.start_terms import OnConflict, Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_TERMINATED = 143
_BROKEN_PIPE = 141

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
list_commands.register(app)
file_commands.register(app)
process_commands.register(app)
steering_commands.register(app)
key_commands.register(app)


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

    Embedded database, local model unless ANABRANCH_LLM__BASE_URL is set, an account, and links to the pages and to
    GraphiQL that are signed in. Listens on loopback only. Other commands find it by themselves.
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
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database to the schema of this version; several processes may do so at once."""
    from runtime.databases import migrate_database  # noqa: PLC0415

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
    is_draft: Annotated[bool, _option("--draft", "DRAFT", "Run the draft though a version is published.")] = False,
    key: Annotated[
        str | None, _option("--key", "KEY", "Start once: a second call with the same key gives the first one's run.")
    ] = None,
    on_conflict: Annotated[
        OnConflict | None, _option("--on-conflict", "ON_CONFLICT", "What a second call with the same key does.")
    ] = None,
    priority: Annotated[
        int | None, _option("--priority", "PRIORITY", "1 (first) to 5 (last); 3 if absent.", min=1, max=5)
    ] = None,
    concurrency_key: Annotated[
        str | None,
        _option("--concurrency-key", "CONCURRENCY_KEY", "Take turns under this key, not under the workflow's own."),
    ] = None,
    labels: Annotated[
        list[str] | None, _option("--label", "LABEL", "name=value, to find the run again. Repeatable.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> int:
    """Start a run of a file or of a stored workflow.

    A FILE makes the workflow of its slug, or brings it to what the file says, and runs that. Of a SLUG the published
    version is run, if there is one. With --watch the
    exit status is 0 only if the run SUCCEEDED. An input `server` that the workflow asks for is filled in.
    """
    from gql.commands.workflow_runs import Given, run_workflow  # noqa: PLC0415

    given = Given(tuple(pairs or ()), input_json)
    target = _target(url, api_key, data_dir)
    terms = Terms(key, on_conflict, priority, concurrency_key, tuple(labels or ()))
    return _run(run_workflow(target, source, given, Console(), is_watched=is_watched, is_draft=is_draft, terms=terms))


@app.command()
def watch(run_id: RunId, url: Url = None, api_key: ApiKey = None, data_dir: DataDir = None) -> int:
    """Draw a run until it ends, wherever it was started.

    Connections that break are made again behind the last event. Exit status 0 only if the run SUCCEEDED. Interrupting
    the command leaves the run alone.
    """
    from gql.commands.workflow_runs import watch_run  # noqa: PLC0415

    return _run(watch_run(_target(url, api_key, data_dir), run_id, Console()))


@app.command()
def approve(  # noqa: PLR0917 -- Typer passes them by name
    named: Annotated[
        str,
        typer.Argument(
            metavar="RUN|APPROVAL", help="The run that asks, or the id of its question.", show_default=False
        ),
    ],
    action: Annotated[str, typer.Argument(help="One of the actions that are offered.", show_default=False)],
    values: Annotated[
        list[str] | None,
        _option(
            "--value",
            "VALUE",
            "name=value for the question's form: as typed where it wants a text, else as JSON where it is JSON.",
        ),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Answer a question that a run asks a person.

    The first answer counts, whoever gives it. The actions are `approve` and `reject` unless the workflow says otherwise.
    """
    from gql.commands.answers import approve as answer_question  # noqa: PLC0415

    title = _run(answer_question(_target(url, api_key, data_dir), named, action, values or ()))
    typer.echo(f"Answered {title!r} with {action}.")


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


@users.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="The account's address.", show_default=False)],
    password: Annotated[
        str | None, _option("--password", "PASSWORD", "10 characters or more; asked for if absent.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Give somebody a new password and end all sessions of the account; needs the database, not the server."""
    from gql.commands.accounts import reset_password as reset  # noqa: PLC0415

    password = password or str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))
    user = _run(reset(_settings(data_dir=data_dir, database_url=database_url), email, password))
    typer.echo(f"{user.email} has a new password, and is signed out everywhere.")


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

    Python, data directory, disk, database, migrations, model endpoint, plug-ins, pages. Exit status 1 if anything is wrong.
    """
    from gql.commands.doctor import doctor as examine  # noqa: PLC0415

    return _run(examine(_settings(data_dir=data_dir, database_url=database_url), Console()))


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
