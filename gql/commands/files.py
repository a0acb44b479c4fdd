"""`export` and `import`: workflow files written and taken in, every problem with its place."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from domain.document import dump, load
from domain.errors import DocumentFault
from domain.problems import Problem
from gql.client.answers import read_problems
from gql.client.faults import ClientFault, RequestRefused
from gql.client.list_operations import EXPORT_WORKFLOWS, IMPORT_WORKFLOW
from gql.commands.lists import pages
from gql.commands.target import open_client
from gql.commands.workflow_runs import read_document, slug_of
from gql.live_tree import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from domain.document import WorkflowDocument
    from gql.client import answers
    from gql.client.session import ApiClient
    from gql.commands.target import Target

_MAX_WORKFLOWS = 10_000


async def export_one(target: Target, slug: str, file: Path | None, console: Console) -> None:
    """Do what `anabranch export SLUG [FILE]` says.

    Raises:
        RequestRefused: there is no such workflow.
        ClientFault: the file cannot be written.
    """
    async with open_client(target) as client:
        found = await pages(client, EXPORT_WORKFLOWS, {"slugs": [slug]}, "workflows", 1)
    if not found:
        raise RequestRefused(f"There is no workflow {slug!r}; `anabranch ls` lists them.", "NOT_FOUND")
    document = str(found[0]["document"])
    if file is None:
        typer.echo(document, nl=False)
        return
    await asyncio.to_thread(_write, file, document)
    console.print(f"Wrote {file}", markup=False, highlight=False, soft_wrap=True)


async def export_all(target: Target, folder: Path, console: Console) -> None:
    """Do what `anabranch export --all DIR` says.

    Raises:
        ClientFault: a file cannot be written.
    """
    async with open_client(target) as client:
        with console.status("Reading workflows …"):
            found = await pages(client, EXPORT_WORKFLOWS, {"slugs": None}, "workflows", _MAX_WORKFLOWS)
    for one in found:
        await asyncio.to_thread(_write, folder / f"{one['slug']}.yaml", str(one["document"]))
    console.print(f"Wrote {len(found)} workflows into {folder}", markup=False, highlight=False, soft_wrap=True)


async def import_all(target: Target, files: Sequence[Path], console: Console, *, is_upsert: bool) -> int:
    """Do what `anabranch import` says and return the exit status: 1 if any file was refused.

    Raises:
        ServerUnreachable, SignInNeeded: the server cannot be asked.
    """
    refused = 0
    async with open_client(target) as client:
        for place, file in enumerate(files, 1):
            with console.status(f"Importing {place} of {len(files)} …"):
                told, is_taken_in = await _import(client, file, is_upsert=is_upsert)
            refused += not is_taken_in
            for line in told:
                typer.echo(printable(line), err=not is_taken_in)
    return 1 if refused else 0


async def _import(client: ApiClient, file: Path, *, is_upsert: bool) -> tuple[list[str], bool]:
    """Take one file in; return what to tell, and whether it was taken."""
    try:
        document = await asyncio.to_thread(read_document, file)
        text = await asyncio.to_thread(_text, file, document)
        payload = await client.mutate(IMPORT_WORKFLOW, {"document": text, "mode": "UPSERT" if is_upsert else "CREATE"})
    except RequestRefused as fault:
        return [_placed(file, *place) for place in fault.located] or [f"{file}: {fault.message}"], False
    except ClientFault as fault:
        if type(fault) is not ClientFault:  # nobody is there, or knows us: nothing about this file
            raise
        return [fault.message], False
    workflow: dict[str, Any] = payload.get("workflow") or {}
    done = "created" if payload.get("isCreated") else "up to date"
    told = [f"{file}: {workflow.get('slug')}, revision {workflow.get('revision')} ({done})"]
    return told + _meant(file, document, read_problems(workflow.get("problems"))), True


def _text(file: Path, document: WorkflowDocument) -> str:
    text = file.read_text(encoding="utf-8")
    if document.slug is not None:
        return text
    # As `run` does, a file without a slug is known by its own name. It is said at the end, where no line moves.
    named = replace(document, slug=slug_of(file.stem))
    with_slug = f"{text.rstrip()}\nslug: {named.slug}\n"
    with contextlib.suppress(DocumentFault):
        if load(with_slug) == named:
            return with_slug
    return dump(document.name, named.slug, document.description, document.definition)


def _meant(file: Path, document: WorkflowDocument, problems: Sequence[answers.Problem]) -> list[str]:
    """Return what is wrong with the draft, in the order of the file."""
    words: list[tuple[int, int, str]] = []
    for one in problems:
        edge = None if one.edge is None else (one.edge.source, one.edge.source_port, one.edge.target)
        place = document.place(Problem(one.code, one.message, node_key=one.node_key, edge=edge, path=one.path))
        words.append((place.line, place.column, f"{one.severity.lower()}: {one.told}"))
    return [_placed(file, *word) for word in sorted(words)]


def _placed(file: Path, line: int, column: int, text: str) -> str:
    return f"{file}:{line}:{column}: {text}"


def _write(file: Path, document: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ClientFault(f"{file} cannot be written: {error.strerror}.") from error
