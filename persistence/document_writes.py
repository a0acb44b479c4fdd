"""Documents are written and deleted here, with their chunks, in one transaction."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from sqlalchemy import and_, any_, bindparam, delete, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import LargeBinary, Text, Uuid
from uuid_utils.compat import uuid7

from domain.collections import Document
from domain.errors import Conflict, InvalidInput, LimitExceeded
from domain.ids import DocumentId
from persistence.chunk_writes import add_chunks, advance, hold, remove_chunks
from persistence.filters import where
from persistence.tables import documents
from persistence.vectors.checks import check_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.collections import Collection, NewDocument
    from domain.filters import Condition
    from domain.ids import CollectionId
    from domain.ports.collections import PreparedDocument

    Stored: TypeAlias = Mapping["Key", Row[Any]]

Key: TypeAlias = "str | bytes"
"""What a document is known by: its own key, or its text's hash."""

_SAVE: Final = text("""
INSERT INTO documents (id, workspace_id, collection_id, external_id, text, text_hash, metadata, generation)
SELECT id, :workspace, :collection, external_id, text, text_hash, CAST(metadata AS jsonb), generation
  FROM unnest(CAST(:ids AS uuid[]), CAST(:external_ids AS text[]), CAST(:texts AS text[]), CAST(:hashes AS bytea[]),
              CAST(:metadata AS text[]), CAST(:generations AS integer[]))
       AS given (id, external_id, text, text_hash, metadata, generation)
ON CONFLICT (id) DO UPDATE SET text = excluded.text, text_hash = excluded.text_hash, metadata = excluded.metadata,
                               generation = excluded.generation, updated_at = now()
RETURNING id, created_at, updated_at
""")


def text_hash(given: str) -> bytes:
    """Return what a text is recognised by."""
    return sha256(given.encode()).digest()


def key_of(new: NewDocument) -> Key:
    """Return what a document is known by in its collection."""
    return text_hash(new.text) if new.external_id is None else new.external_id


async def find_stored(connection: AsyncConnection, collection_id: CollectionId, keys: Sequence[Key]) -> Stored:
    """Return the rows that are stored under keys."""
    external_ids = [key for key in keys if isinstance(key, str)]
    hashes = [key for key in keys if isinstance(key, bytes)]
    is_wanted = or_(
        documents.c.external_id == any_(bindparam("external_ids", external_ids, ARRAY(Text))),
        and_(
            documents.c.external_id.is_(None),
            documents.c.text_hash == any_(bindparam("hashes", hashes, ARRAY(LargeBinary))),
        ),
    )
    columns = [column for column in documents.c if column.name != "text"]
    rows = await connection.execute(select(*columns).where(documents.c.collection_id == collection_id, is_wanted))
    return {bytes(row.text_hash) if row.external_id is None else row.external_id: row for row in rows}


async def save_documents(
    connection: AsyncConnection, collection: Collection, given: Sequence[PreparedDocument], most: int
) -> list[Document]:
    """Implement `domain.ports.collections.Collections.save_documents` in an open transaction."""
    _check(collection, given)
    keys = [key_of(one.new) for one in given]
    chosen = dict(zip(keys, given, strict=True))
    held = await hold(connection, collection)
    if held.generation != collection.generation:
        raise Conflict(f"The collection {collection.name} was rebuilt meanwhile: read it again.")
    stored = await find_stored(connection, collection.id, list(chosen))
    _check_room(held.document_count + sum(key not in stored for key in chosen), most)
    ids = {key: stored[key].id if key in stored else uuid7() for key in chosen}
    changed = {key: one for key, one in chosen.items() if _is_changed(key, one, stored)}
    times = await _save(connection, collection, changed, ids, stored)
    cut = [
        (ids[key], one.chunks, one.vectors)
        for key, one in changed.items()
        if one.chunks is not None and one.vectors is not None
    ]
    replaced = [stored[key].id for key, one in changed.items() if one.chunks is not None and key in stored]
    removed = await remove_chunks(connection, collection.id, held.generation, held.last_seq + 1, replaced)
    added = await add_chunks(connection, collection.id, held.generation, held.last_seq + 1, cut)
    if changed:
        seq = held.last_seq + 1 + added
        new = sum(key not in stored for key in changed)
        await advance(connection, collection.id, seq, documents=new, added=added, removed=removed)
    return [_document(collection.id, ids[key], chosen[key].new, times.get(key) or stored[key]) for key in keys]


async def remove_documents(
    connection: AsyncConnection,
    collection: Collection,
    document_ids: Sequence[DocumentId],
    external_ids: Sequence[str],
    condition: Condition | None,
) -> int:
    """Implement `domain.ports.collections.Collections.remove_documents` in an open transaction."""
    choices: list[ColumnElement[bool]] = []
    if document_ids:
        choices.append(documents.c.id == any_(bindparam("ids", list(document_ids), ARRAY(Uuid))))
    if external_ids:
        choices.append(documents.c.external_id == any_(bindparam("external_ids", list(external_ids), ARRAY(Text))))
    if condition is not None:
        choices.append(where(condition, documents.c.metadata))
    if not choices:
        return 0
    held = await hold(connection, collection)
    is_chosen = and_(documents.c.collection_id == collection.id, or_(*choices))
    chosen = (await connection.execute(select(documents.c.id).where(is_chosen))).scalars().all()
    if not chosen:
        return 0
    seq = held.last_seq + 1
    removed = await remove_chunks(connection, collection.id, held.generation, seq, chosen)
    await connection.execute(
        delete(documents).where(documents.c.id == any_(bindparam("gone", list(chosen), ARRAY(Uuid))))
    )
    await advance(connection, collection.id, seq, documents=-len(chosen), removed=removed)
    return len(chosen)


def _check(collection: Collection, given: Sequence[PreparedDocument]) -> None:
    for place, one in enumerate(given):
        path = ["documents", str(place)]
        try:
            one.new.text.encode()
            is_text = "\0" not in one.new.text + (one.new.external_id or "")
            is_text = is_text and rb"\u0000" not in orjson.dumps(one.new.metadata)
        except (UnicodeEncodeError, TypeError):
            is_text = False
        if not is_text:
            raise InvalidInput("PostgreSQL stores neither NUL nor half of a surrogate pair.", path=path)
        if (one.chunks is None) is not (one.vectors is None):
            raise InvalidInput("Chunks and vectors come together.", path=path)
        if one.chunks and one.vectors is not None:
            check_vectors(one.vectors, collection.dimension, path, count=len(one.chunks))


def _check_room(count: int, most: int) -> None:
    if count > most:
        message = (
            f"A collection has at most {most:,} documents (ANABRANCH_LIMITS__DOCUMENTS_PER_COLLECTION); with these it "
            f"would have {count:,}."
        )
        raise LimitExceeded(message, limit=most, actual=count, path=["input", "documents"])


def _is_changed(key: Key, one: PreparedDocument, stored: Stored) -> bool:
    """Tell whether a document has to be written.

    Raises:
        Conflict: its text was to be as it is stored, and is not.
    """
    row = stored.get(key)
    if one.chunks is not None:
        return True
    if row is None or bytes(row.text_hash) != text_hash(one.new.text):
        raise Conflict("A document was changed or deleted meanwhile: prepare it again.")
    return _json(row.metadata) != _json(one.new.metadata)


async def _save(
    connection: AsyncConnection,
    collection: Collection,
    changed: Mapping[Key, PreparedDocument],
    ids: Mapping[Key, UUID],
    stored: Stored,
) -> dict[Key, Row[Any]]:
    """Write documents; return their ids and times by key."""
    if not changed:
        return {}
    given = {
        "workspace": collection.workspace_id,
        "collection": collection.id,
        "ids": [ids[key] for key in changed],
        "external_ids": [one.new.external_id for one in changed.values()],
        "texts": [one.new.text for one in changed.values()],
        "hashes": [text_hash(one.new.text) for one in changed.values()],
        "metadata": [_json(one.new.metadata) for one in changed.values()],
        # Only the metadata changes: a rebuild that has cut this text already need not do it again.
        "generations": [
            collection.generation if one.chunks is not None else stored[key].generation for key, one in changed.items()
        ],
    }
    rows = {row.id: row for row in await connection.execute(_SAVE, given)}
    return {key: rows[ids[key]] for key in changed}


def _document(collection_id: CollectionId, document_id: UUID, new: NewDocument, times: Row[Any]) -> Document:
    return Document(
        DocumentId(document_id),
        collection_id,
        new.external_id,
        new.text,
        new.metadata,
        times.created_at,
        times.updated_at,
    )


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
