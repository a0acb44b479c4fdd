"""`run` and `watch`: the commands that an ordinary client of the API is made of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
from pydantic import BaseModel, ValidationError

from domain.document import WorkflowDocument, dump, load
from domain.errors import DocumentFault
from domain.problems import UNKNOWN_KIND
from domain.run import RunStatus
from domain.validation import ANY_NAMES, check
from gql.asking.people import People
from gql.asking.terminal import terminal_of
from gql.client import operations
from gql.client.answers import read_problems
from gql.client.faults import ClientFault, RequestRefused
from gql.commands.start_terms import NO_TERMS
from gql.commands.target import open_client
from gql.live_tree import describe_usage, printable
from gql.watch import watch
from runtime.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from domain.json_value import Json
    from gql.client.events import Usage
    from gql.client.run_view import RunView
    from gql.client.session import ApiClient
    from gql.commands.start_terms import Terms
    from gql.commands.target import Target

_FILE_SUFFIXES = {".yaml", ".yml"}
_MAX_FILE_BYTES = 4 * 1_048_576


@dataclass(frozen=True, slots=True)
class Stored:
    """A workflow as the server has it; `change` says what the command did to it."""

    id: str
    slug: str
    revision: int
    input_schema: Any
    change: str = "unchanged"
    is_draft: bool = True
    """Whether the draft is run though a version is published: what a file says is the draft."""


@dataclass(frozen=True, slots=True)
class Given:
    """The input as it stands on the command line; `pairs` win over the object."""

    pairs: tuple[str, ...] = ()
    json_text: str | None = None


def is_file(source: str) -> bool:
    """Whether the argument of `run` names a file and not a workflow."""
    return "/" in source or Path(source).suffix in _FILE_SUFFIXES


def read_document(path: Path) -> WorkflowDocument:
    """Return the workflow of a file.

    Raises:
        ClientFault: it cannot be read; every problem of it with line and column.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ClientFault(f"{path} cannot be read: {error.strerror}.") from error
    if len(text) > _MAX_FILE_BYTES:
        raise ClientFault(f"{path} is larger than 4 MiB.")
    try:
        document = load(text.decode())
        _refuse_unsound(document)
    except UnicodeDecodeError as error:
        raise ClientFault(f"{path} is not a text in UTF-8.") from error
    except DocumentFault as fault:
        places = [f"{path}:{one.line}:{one.column}: {one.message} {one.hint or ''}".rstrip() for one in fault.problems]
        raise ClientFault("\n  ".join([f"{path} is not a workflow that can be read:", *places])) from fault
    return document


def _refuse_unsound(document: WorkflowDocument) -> None:
    """Find what the server would refuse while line and column can still be told.

    Raises:
        DocumentFault: the graph cannot be saved.
    """
    problems = check(document.definition, load_registry().names, ANY_NAMES)
    # The server may have kinds that this program lacks: about those it speaks for itself.
    unsound = [problem for problem in problems if problem.is_structural and problem.code != UNKNOWN_KIND]
    if unsound:
        raise DocumentFault(document.located(unsound))


async def find_workflow(client: ApiClient, slug: str) -> dict[str, Any] | None:
    """Return the fields of the workflow with this slug, or None."""
    found: dict[str, Any] = (await client.execute(operations.FIND_WORKFLOW, {"slugs": [slug]})).get("workflows") or {}
    nodes: list[dict[str, Any]] = found.get("nodes") or []
    return nodes[0] if nodes else None


async def store(client: ApiClient, document: WorkflowDocument, fallback_slug: str) -> Stored:
    """Make the workflow of the document's slug, or bring it to what the document says.

    Raises:
        RequestRefused: the server refuses it; its problems are named.
    """
    slug = document.slug or fallback_slug
    fields: dict[str, Json] = {**document.to_input(), "slug": slug}
    known = await find_workflow(client, slug)
    if known is None:
        payload = await client.mutate(operations.CREATE_WORKFLOW, {"input": fields})
        return _stored(payload, "createWorkflow", document, "created")
    text = dump(document.name, slug, document.description, document.definition)
    if known.get("document") == text:
        return Stored(known["id"], slug, known["revision"], document.definition.input_schema)
    change: dict[str, Json] = {**fields, "id": known["id"], "expectedRevision": known["revision"]}
    payload = await client.mutate(operations.UPDATE_WORKFLOW, {"input": change})
    return _stored(payload, "updateWorkflow", document, "updated")


def _stored(payload: Mapping[str, Any], name: str, document: WorkflowDocument, change: str) -> Stored:
    workflow: dict[str, Any] | None = payload.get("workflow")
    if workflow is None:
        raise ClientFault(f"The server gave no workflow after {name}.")
    if not workflow.get("isRunnable"):
        problems = [str(one) for one in read_problems(workflow.get("problems")) if one.severity == "ERROR"]
        raise RequestRefused(f"{workflow['slug']} is stored but cannot be run:", "GRAPH_PROBLEMS", problems)
    return Stored(workflow["id"], workflow["slug"], workflow["revision"], document.definition.input_schema, change)


async def prepare(client: ApiClient, source: str, *, is_draft: bool = False) -> Stored:
    """Return the workflow that `run` means: a file's, created or updated, or the one with this slug.

    Of a stored workflow the published version is meant, if there is one, unless the draft is asked for.

    Raises:
        ClientFault: the file cannot be read.
        RequestRefused: there is no such workflow, or the server refuses the file's.
    """
    if is_file(source):
        path = Path(source)
        document = await asyncio.to_thread(read_document, path)
        return await store(client, document, slug_of(path.stem))
    known = await find_workflow(client, source)
    if known is None:
        raise RequestRefused(f"There is no workflow {source!r}; a file is named with its suffix .yaml.", "NOT_FOUND")
    meant: dict[str, Any] = (None if is_draft else known.get("publishedVersion")) or known
    schema = meant.get("inputSchema")
    return Stored(known["id"], known["slug"], known["revision"], schema, is_draft=is_draft)


def read_input(given: Given, schema: Any, url: str) -> dict[str, Json]:
    """Return the run's input; a `server` that the schema asks for is filled in with the server we speak to.

    Raises:
        ClientFault: not `name=value`, or not a JSON object.
    """
    values: dict[str, Json] = {}
    if given.json_text is not None:
        try:
            parsed = orjson.loads(given.json_text)
        except orjson.JSONDecodeError as error:
            raise ClientFault(f"--input-json is not JSON: {error}.") from error
        if not isinstance(parsed, dict):
            raise ClientFault('--input-json must be a JSON object, such as \'{"question": "why?"}\'.')
        values |= parsed
    known = _schema(schema)
    for pair in given.pairs:
        name, separator, text = pair.partition("=")
        if not name or not separator:
            raise ClientFault(f"--input {pair!r} is not of the form name=value.")
        values[name] = text if known.type_of(name) == "string" else _json_or_text(text)
    if "server" in known.properties and "server" not in values:
        values["server"] = url
    return values


class _Schema(BaseModel):
    """The part of a JSON Schema that the command line looks at."""

    properties: dict[str, Any] = {}

    def type_of(self, name: str) -> Any:
        """Return what the schema says of a property's type."""
        about: Any = self.properties.get(name)
        return cast("dict[str, Any]", about).get("type") if isinstance(about, dict) else None


def _schema(raw: Any) -> _Schema:
    try:
        return _Schema.model_validate(raw)
    except ValidationError:
        return _Schema()


def _json_or_text(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


async def start(client: ApiClient, workflow: Stored, values: Mapping[str, Json]) -> str:
    """Start a run and return its id.

    Raises:
        RequestRefused: the input does not fit, or the workflow cannot be run.
    """
    return (await start_on(client, workflow, values, {}))[0]


async def start_on(
    client: ApiClient, workflow: Stored, values: Mapping[str, Json], terms: Mapping[str, Json]
) -> tuple[str, bool]:
    """Start a run on terms and return its id, and whether an earlier call with its key had started it.

    Raises:
        RequestRefused: the input does not fit, the workflow cannot be run, or its key stands for another run.
    """
    fields: dict[str, Json] = {"workflowId": workflow.id, "input": values, "useDraft": workflow.is_draft, **terms}
    payload = await client.mutate(operations.START_RUN, {"input": fields})
    run: dict[str, Any] | None = payload.get("run")
    if run is None:
        raise ClientFault("The server gave no run after startRun.")
    return str(run["id"]), bool(payload.get("isExisting"))


async def watch_to_end(client: ApiClient, run_id: str, console: Console) -> int:
    """Draw the run until it ends, print what it used and returned, and return the exit status: 0 only after SUCCEEDED.

    Who sits at a terminal is asked what the run asks.
    """
    people = People(client, run_id, terminal_of(console))
    try:
        view = await watch(client, run_id, console, people=people)
    except asyncio.CancelledError:
        for line in (f"The run goes on: anabranch watch {run_id}", *people.how_to_answer()):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        raise
    # Only success is told with it; ends of another kind have cost something all the same.
    print_usage(view.usage or await client.usage_of(run_id), console)
    print_output(view, console)
    return 0 if view.status is RunStatus.SUCCEEDED else 1


def print_usage(usage: Usage, console: Console) -> None:
    """Print what a run and the runs that it called have used of models, if they have."""
    if usage.total_tokens:
        console.print(f"Tokens: {describe_usage(usage)}", style="dim", markup=False, highlight=False, soft_wrap=True)


def print_output(view: RunView, console: Console) -> None:
    """Print the run's output as JSON."""
    if view.output is None:
        return
    text = orjson.dumps(view.output, option=orjson.OPT_INDENT_2).decode()
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


async def run_workflow(
    target: Target,
    source: str,
    given: Given,
    console: Console,
    *,
    is_watched: bool,
    is_draft: bool = False,
    terms: Terms = NO_TERMS,
) -> int:
    """Do what `anabranch run` says and return the exit status.

    Raises:
        AnabranchError: the file, the input or the server is not as it should be.
    """
    asked = terms.fields()
    async with open_client(target) as client:
        workflow = await prepare(client, source, is_draft=is_draft)
        if is_file(source):
            console.print(
                f"Workflow {workflow.slug}, revision {workflow.revision} ({workflow.change})",
                markup=False,
                soft_wrap=True,
            )
        values = read_input(given, workflow.input_schema, client.url)
        run_id, is_existing = await start_on(client, workflow, values, asked)
        if is_watched:
            return await watch_to_end(client, run_id, console)
    told = "The key stands for" if is_existing else "Started"
    console.print(f"{told} {run_id}; anabranch watch {run_id}", markup=False, highlight=False, soft_wrap=True)
    return 0


async def watch_run(target: Target, run_id: str, console: Console) -> int:
    """Do what `anabranch watch` says and return the exit status.

    Raises:
        RequestRefused: there is no such run.
    """
    async with open_client(target) as client:
        return await watch_to_end(client, run_id, console)


def slug_of(stem: str) -> str:
    """Return the slug of a file that says none: its own name."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem.lower())
    return "-".join(word for word in words.split("-") if word)[:64] or "workflow"
