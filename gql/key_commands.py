"""`keys rotate`: sealing all secrets with a new key, directly in the database."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gql.command_options import DatabaseUrl, DataDir, option, run, settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(help="Keys of secrets at rest, directly in the database.", no_args_is_help=True)
    # With one command alone Typer would make it the group itself.
    keys.callback()(_keys)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")


def _keys() -> None:
    """Keys of secrets at rest, directly in the database."""


def rotate(
    is_dry: Annotated[bool, option("--dry-run", "DRY_RUN", "Count what would be sealed anew, and change nothing.")] = (
        False
    ),
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> int:
    """Seal all secrets and credentials with the first of ANABRANCH_ENCRYPTION_KEYS.

    Put the new key in front of the old one, restart every server, then run this; it says when the old key may go. It may
    be interrupted and begun again, and servers may be at work meanwhile. Needs the database, not the server.
    """
    from gql.commands.keys import rotate_keys  # noqa: PLC0415

    return run(rotate_keys(settings(data_dir=data_dir, database_url=database_url), Console(), is_dry=is_dry))
