"""`export` and `import`: workflows as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gql.command_options import ApiKey, DataDir, Url, option, run, target

if TYPE_CHECKING:
    from typer import Typer


def register(app: Typer) -> None:
    """Add the commands."""
    app.command("export")(export_files)
    app.command("import")(import_files)


def export_files(  # noqa: PLR0917 -- Typer passes them by name
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="The workflow.", show_default=False)] = None,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; printed if absent.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None, option("--all", "ALL", "Write all workflows into this folder, each as SLUG.yaml.", metavar="DIR")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Write a workflow as a file: stable order, defaults left out, the layout in a section of its own.

    A file that is there is overwritten: what changed is for version control to show, one line for one field.
    """
    from gql.commands.files import export_all, export_one  # noqa: PLC0415

    if (slug is None) is (folder is None):
        raise typer.BadParameter("Give a SLUG, or --all DIR for all workflows.")
    where = target(url, api_key, data_dir)
    if folder is not None:
        run(export_all(where, folder, Console()))
    else:
        run(export_one(where, str(slug), file, Console()))


def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Workflow files.", show_default=False)],
    is_upsert: Annotated[
        bool,
        option("--upsert/--create", "UPSERT", "Also change workflows that are there; else a taken slug is an error."),
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    data_dir: DataDir = None,
) -> int:
    """Make workflows of files, or with --upsert bring them to what the files say.

    What a file cannot be imported for is told as FILE:LINE:COLUMN, and so is what is wrong in meaning, which is imported:
    a draft may have errors. Exit status 1 if any file was refused; the others are imported.
    """
    from gql.commands.files import import_all  # noqa: PLC0415

    return run(import_all(target(url, api_key, data_dir), files, Console(), is_upsert=is_upsert))
