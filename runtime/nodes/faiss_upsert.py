"""FAISS_UPSERT: write documents to a vector collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import orjson
from pydantic import model_validator

from domain.collections import MAX_DOCUMENTS, NewDocument, check_document
from domain.errors import NodeFault, UserFault
from domain.ids import Prefix, to_global
from domain.json_value import Json
from domain.kinds import JSON_FIELD, Config, ErrorCode, NodeContext, NodeKind, Output, Reference, Result
from runtime.collection_codes import CODES

_FIELDS: Final = frozenset({"externalId", "text", "metadata"})


class FaissUpsertConfig(Config):
    """Documents written to a collection; output `documentIds`, `chunks`. Doing it twice writes once."""

    collection: Annotated[str, Reference("collection")]
    """Name of the collection."""
    documents: str | None = None
    """Template that gives a list of `{externalId, text, metadata}`, 1,000 at most; give either this or `text`."""
    text: str | None = None
    """Template of the text of one document."""
    metadata: Annotated[Any, JSON_FIELD] = None
    """Metadata of the one document; texts inside are templates."""
    external_id: str | None = None
    """Template of the one document's own key; the same key replaces, null = the hash of the text."""

    @model_validator(mode="after")
    def _either_documents_or_text(self) -> FaissUpsertConfig:
        if (self.documents is None) == (self.text is None):
            raise ValueError("give either `documents` or `text`")
        if self.documents is not None and (self.metadata is not None or self.external_id is not None):
            raise ValueError("`metadata` and `externalId` belong to `text`; in `documents` each has its own")
        return self


class FaissUpsertOutput(Output):
    """What was written."""

    document_ids: list[str]
    """Ids of the documents, in the order given."""
    chunks: int
    """How many pieces they have together."""


async def run(config: FaissUpsertConfig, ctx: NodeContext) -> Result:
    """Write all documents or none."""
    try:
        documents = _documents(config)
    except UserFault as fault:
        raise NodeFault("INVALID_DOCUMENTS", f"{'.'.join(fault.path or ())}: {fault.message}") from None
    written = await ctx.collections.upsert(config.collection, documents, ctx.progress)
    ids: Json = [to_global(Prefix.DOCUMENT, document.id) for document in written.documents]
    return Result({"documentIds": ids, "chunks": written.chunks})


def _documents(config: FaissUpsertConfig) -> list[NewDocument]:
    if config.documents is None:
        return [check_document(config.external_id, config.text or "", config.metadata, [])]
    try:
        given = orjson.loads(config.documents)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, list):
        raise NodeFault("INVALID_DOCUMENTS", "`documents` gives no list of documents.")
    items = cast("list[object]", given)
    if len(items) > MAX_DOCUMENTS:
        message = f"`documents` gives {len(items):,} documents, {MAX_DOCUMENTS:,} are the most."
        raise NodeFault("INVALID_DOCUMENTS", message)
    return [_document(item, place) for place, item in enumerate(items)]


def _document(item: object, place: int) -> NewDocument:
    if not isinstance(item, dict):
        raise NodeFault("INVALID_DOCUMENTS", f"documents.{place}: A document is an object with a `text`.")
    given = cast("Mapping[str, Json]", item)
    unknown = next((name for name in given if name not in _FIELDS), None)
    if unknown is not None:
        raise NodeFault("INVALID_DOCUMENTS", f"documents.{place}: A document has no field {unknown[:80]!r}.")
    text, key = given.get("text"), given.get("externalId")
    if not isinstance(text, str):
        raise NodeFault("INVALID_DOCUMENTS", f"documents.{place}.text: A document has a text.")
    if key is not None and not isinstance(key, str):
        raise NodeFault("INVALID_DOCUMENTS", f"documents.{place}.externalId: A key is a text.")
    return check_document(key, text, given.get("metadata"), ["documents", str(place)])


KIND = NodeKind(
    kind="FAISS_UPSERT",
    name="faissUpsert",
    title="Store in a collection",
    description="Write documents to a vector collection.",
    config=FaissUpsertConfig,
    output=FaissUpsertOutput,
    run=run,
    error_codes=(
        *CODES,
        ErrorCode("COLLECTION_FULL", "The collection has as many documents as it may.", is_retryable=False),
        ErrorCode("INVALID_DOCUMENTS", "What is given is no list of documents that can be stored.", is_retryable=False),
    ),
    is_idempotent=True,
)
