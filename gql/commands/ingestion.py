"""`collection ingest`: files into a collection, as an ordinary client of the API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from rich.progress import Progress

from gql.client.faults import ClientFault, RequestRefused
from gql.client.operations import CREATE_COLLECTION, FIND_COLLECTION, UPSERT_DOCUMENTS
from gql.commands.target import open_client

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from domain.json_value import Json, JsonObject
    from gql.client.session import ApiClient
    from gql.commands.target import Target

_SUFFIXES: Final = frozenset({".md", ".rst", ".txt"})
"""What is taken out of a folder."""
_BATCH_DOCUMENTS: Final = 50
_BATCH_CHARS: Final = 20_000
"""A request ends after 30 seconds; so much is embedded in one or two on a core, and in time on a busy machine too."""


async def ingest(target: Target, name: str, paths: Sequence[Path], console: Console) -> None:
    """Write files into the collection of that name, making it if there is none.

    Raises:
        ClientFault: a file that cannot be read, or the server refuses.
    """
    documents = await asyncio.to_thread(lambda: list(read_documents(paths)))
    if not documents:
        raise ClientFault(f"There is nothing to ingest: no {', '.join(sorted(_SUFFIXES))} or .jsonl with a text in it.")
    async with open_client(target) as client:
        collection = await _collection(client, name)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task(f"Into {name}", total=len(documents))
            stats: dict[str, int] = {}
            for batch in batches(documents):
                stats = await _upsert(client, collection, batch)
                progress.advance(bar, len(batch))
    written, chunks = _counted(len(documents), "document"), _counted(stats["chunks"], "chunk")
    told = f"{written} written; {name} has {stats['documents']:,} with {chunks}."
    console.print(told, markup=False, highlight=False, soft_wrap=True)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


async def _upsert(client: ApiClient, collection: str, batch: Sequence[JsonObject]) -> dict[str, int]:
    """Write the documents and return the collection's counts; what takes too long for one request is sent in halves."""
    try:
        payload = await client.mutate(UPSERT_DOCUMENTS, {"id": collection, "documents": batch})
    except RequestRefused as refused:
        if refused.code != "TIMEOUT" or len(batch) == 1:
            raise
        middle = len(batch) // 2
        await _upsert(client, collection, batch[:middle])
        return await _upsert(client, collection, batch[middle:])
    return payload["collection"]["stats"]


def read_documents(paths: Iterable[Path]) -> Iterator[JsonObject]:
    """Yield the documents of files and folders: of a `.jsonl` each line, of others the text, known by the file's path.

    Raises:
        ClientFault: a file that cannot be read, by its name and line.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
            yield from read_documents(inside)
            continue
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or "cannot be read")
            raise ClientFault(f"{path}: {why}.") from error
        if path.suffix == ".jsonl":
            yield from _lines(path, text)
        elif text.strip():
            yield {"externalId": path.as_posix(), "text": text, "metadata": {"path": path.as_posix()}}


def _lines(path: Path, text: str) -> Iterator[JsonObject]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            given = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ClientFault(f"{path}, line {number}: not JSON ({error}).") from error
        if not isinstance(given, dict) or not isinstance(cast("dict[str, Any]", given).get("text"), str):
            raise ClientFault(f"{path}, line {number}: a document is an object with a `text`.")
        known = {"externalId", "text", "metadata"}
        yield {key: value for key, value in cast("dict[str, Json]", given).items() if key in known}


def batches(documents: Iterable[JsonObject]) -> Iterator[list[JsonObject]]:
    """Yield documents in portions that one request can take."""
    batch: list[JsonObject] = []
    chars = 0
    for document in documents:
        size = len(str(document["text"]))
        if batch and (len(batch) == _BATCH_DOCUMENTS or chars + size > _BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(document)
        chars += size
    if batch:
        yield batch


async def _collection(client: ApiClient, name: str) -> str:
    found = await client.execute(FIND_COLLECTION, {"name": name})
    workspaces: list[dict[str, Any]] = found["viewer"]["workspaces"]["nodes"] if found["viewer"] else []
    for workspace in workspaces:
        if workspace["collection"] is not None:
            return workspace["collection"]["id"]
    made = await client.mutate(CREATE_COLLECTION, {"input": {"name": name}})
    return made["collection"]["id"]
