"""Stocking the demo's workspace over the public API: a collection of documents, and a table for answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gql.client.events import Told
from gql.client.faults import ClientFault
from gql.demo import operations
from gql.demo.corpus import python_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from gql.client.session import ApiClient
    from gql.demo.corpus import LibraryDocument

COLLECTION: Final = "python-library"
TABLE: Final = "answers"
_COLUMNS: Final = (
    ("question", "TEXT", "What was asked."),
    ("answer", "TEXT", "What the model wrote."),
    ("sources", "JSON", "The names that the searches found."),
    ("tokens", "INTEGER", "What the answer took."),
    ("server", "TEXT", "The version of the server that answered."),
    ("run", "TEXT", "The run's id."),
)
_BATCH = 16


class Stats(Told):
    """How much a collection holds; `live` and `dead` are the vectors of its index."""

    documents: int
    chunks: int
    live: int
    dead: int


class StockedCollection(Told):
    """A collection as the API tells of it."""

    id: str
    stats: Stats


@dataclass(frozen=True, slots=True)
class Library:
    """What the workspace holds; `embedded` counts the vectors that were made just now."""

    collection_id: str
    table_id: str
    stats: Stats
    embedded: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table, as it is read back; values in the order of the columns."""

    id: str
    values: dict[str, Any]


async def stock(client: ApiClient, documents: Sequence[LibraryDocument], console: Console) -> Library:
    """Make the collection and the table where they are missing, and bring the collection to the documents.

    Raises:
        RequestRefused: the server refuses something.
        ServerUnreachable: no answer.
    """
    collection, table_id = await _find(client)
    if collection is None:
        collection = await _change(client, operations.CREATE_COLLECTION, {"name": COLLECTION})
    known = collection.stats
    progress = Progress(
        TextColumn("Ingesting the Python library"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("documents"),
        TimeElapsedColumn(),
        console=console,
    )
    with progress:
        task = progress.add_task("ingest", total=len(documents))
        for batch in _batches(documents):
            given = {"collectionId": collection.id, "documents": [document.to_input() for document in batch]}
            collection = await _change(client, operations.UPSERT_DOCUMENTS, given)
            progress.advance(task, len(batch))
    # What an earlier version's demo put there; notes of people's own carry no version and stay.
    versions = [{"path": "python", "exists": True}, {"path": "python", "ne": python_version()}]
    stale = {"collectionId": collection.id, "filter": {"and": versions}}
    collection = await _change(client, operations.DELETE_DOCUMENTS, stale)
    embedded = max(0, collection.stats.live + collection.stats.dead - known.live - known.dead)
    return Library(collection.id, table_id or await _make_table(client), collection.stats, embedded)


def _batches(documents: Sequence[LibraryDocument]) -> Iterator[Sequence[LibraryDocument]]:
    """Yield texts of like length together: those of one batch are padded to the longest."""
    ordered = sorted(documents, key=lambda document: len(document.text))
    for begin in range(0, len(ordered), _BATCH):
        yield ordered[begin : begin + _BATCH]


async def _find(client: ApiClient) -> tuple[StockedCollection | None, str | None]:
    data = await client.execute(operations.FIND_LIBRARY, {"collection": COLLECTION, "table": TABLE})
    workspace: dict[str, Any] = data["viewer"]["workspaces"]["nodes"][0]
    table: dict[str, Any] | None = workspace["dataTable"]
    found = workspace["collection"]
    return (None if found is None else _read(found)), (None if table is None else str(table["id"]))


async def _change(client: ApiClient, document: str, given: Mapping[str, Any]) -> StockedCollection:
    return _read((await client.mutate(document, {"input": given})).get("collection"))


def _read(raw: object) -> StockedCollection:
    try:
        return StockedCollection.model_validate(raw)
    except ValidationError as error:
        raise ClientFault("The server told of the collection in an unknown shape.") from error


async def _make_table(client: ApiClient) -> str:
    columns = [{"name": name, "type": type_, "description": about} for name, type_, about in _COLUMNS]
    payload = await client.mutate(operations.CREATE_TABLE, {"input": {"name": TABLE, "columns": columns}})
    return str(payload["dataTable"]["id"])


async def read_rows(client: ApiClient, table_id: str, run_id: str) -> list[Row]:
    """Return the rows that a run wrote.

    Raises:
        ServerUnreachable: no answer.
    """
    data = await client.execute(operations.READ_ROWS, {"table": table_id, "run": run_id})
    nodes: list[dict[str, Any]] = data["dataTable"]["rows"]["nodes"]
    return [Row(str(node["id"]), {name: node["values"].get(name) for name, _, _ in _COLUMNS}) for node in nodes]
