"""Collections, documents and searches as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import strawberry
from strawberry.scalars import JSON

from domain import collections as domain
from domain.collections import MAX_DOCUMENTS, check_document
from domain.errors import LimitExceeded
from domain.ids import DocumentId, Prefix
from gql.absent import ABSENT, or_none
from gql.collections.enums import ChunkSplit, SearchMode, VectorMetric
from gql.filters import Filter, condition_of
from gql.ids import from_id
from runtime.collections import CollectionDraft, EmbedderChoice

if TYPE_CHECKING:
    from domain.json_value import Json


@strawberry.input(description="What makes vectors of texts.")
class EmbedderInput:
    """What makes vectors of texts."""

    connection: str | None = strawberry.field(
        default=ABSENT, description="Name of a connection; null = the built-in model."
    )
    model: str | None = strawberry.field(default=ABSENT, description="The model's name; the default if absent.")

    def choice(self) -> EmbedderChoice:
        """Convert to what the service takes."""
        return EmbedderChoice(or_none(self.connection), or_none(self.model))


@strawberry.input(description="How texts are cut into chunks.")
class ChunkingInput:
    """How texts are cut into chunks."""

    split_by: ChunkSplit = strawberry.field(default=ChunkSplit.PARAGRAPH, description="Where a cut may be.")
    max_chars: int = strawberry.field(default=1_200, description="The longest chunk in characters, 100 to 8,000.")
    overlap_chars: int = strawberry.field(default=150, description="How much two neighbours share, in characters.")

    def chunking(self) -> domain.Chunking:
        """Convert to the domain's."""
        return domain.Chunking(self.split_by, self.max_chars, self.overlap_chars)


@strawberry.input(description="A document to write.")
class DocumentInput:
    """A document to write."""

    external_id: str | None = strawberry.field(
        default=ABSENT, description="Its own key; the same key replaces, absent = the hash of the text."
    )
    text: str = strawberry.field(description="Its text, at most 1 MiB.")
    metadata: JSON | None = strawberry.field(default=ABSENT, description="What filters can compare.")


@strawberry.input(description="What `createCollection` takes.")
class CreateCollectionInput:
    """What `createCollection` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    name: str = strawberry.field(description="Unique in the workspace; what nodes use.")
    embedder: EmbedderInput | None = strawberry.field(
        default=ABSENT, description="What makes vectors of texts; the built-in model if absent."
    )
    metric: VectorMetric = strawberry.field(default=VectorMetric.COSINE, description="How near is measured.")
    chunking: ChunkingInput | None = strawberry.field(
        default=ABSENT, description="How texts are cut; paragraphs if absent."
    )

    def draft(self) -> CollectionDraft:
        """Convert to what the service takes."""
        return CollectionDraft(
            self.name,
            self.embedder.choice() if self.embedder else EmbedderChoice(),
            self.metric,
            self.chunking.chunking() if self.chunking else domain.Chunking(),
        )


@strawberry.input(description="What `deleteCollection` takes.")
class DeleteCollectionInput:
    """What `deleteCollection` takes."""

    id: strawberry.ID = strawberry.field(description="Which collection.")


@strawberry.input(description="What `upsertDocuments` takes.")
class UpsertDocumentsInput:
    """What `upsertDocuments` takes."""

    collection_id: strawberry.ID = strawberry.field(description="Which collection.")
    documents: list[DocumentInput] = strawberry.field(description="The documents; at most 1,000.")

    def checked(self) -> list[domain.NewDocument]:
        """Convert to the domain's.

        Raises:
            InvalidInput, LimitExceeded: a document that cannot be stored, or too many.
        """
        if len(self.documents) > MAX_DOCUMENTS:
            message = f"At most {MAX_DOCUMENTS:,} documents at once, not {len(self.documents):,}."
            raise LimitExceeded(message, limit=MAX_DOCUMENTS, actual=len(self.documents), path=["input", "documents"])
        return [
            check_document(
                or_none(one.external_id),
                one.text,
                cast("Json", or_none(one.metadata)),
                ["input", "documents", str(place)],
            )
            for place, one in enumerate(self.documents)
        ]


@strawberry.input(description="What `deleteDocuments` takes.")
class DeleteDocumentsInput:
    """What `deleteDocuments` takes."""

    collection_id: strawberry.ID = strawberry.field(description="Which collection.")
    document_ids: list[strawberry.ID] | None = strawberry.field(
        default=ABSENT, description="By their ids, 1,000 at most."
    )
    external_ids: list[str] | None = strawberry.field(default=ABSENT, description="By their own keys, 1,000 at most.")
    filter: Filter = strawberry.field(default=ABSENT, description="By their metadata.")

    def ids(self) -> list[DocumentId]:
        """Convert the ids.

        Raises:
            InvalidId: one is no id of a document.
        """
        return [
            DocumentId(from_id(Prefix.DOCUMENT, text, "input", "documentIds", str(place)))
            for place, text in enumerate(self.document_ids or ())
        ]


@strawberry.input(description="What `rebuildCollection` takes.")
class RebuildCollectionInput:
    """What `rebuildCollection` takes."""

    id: strawberry.ID = strawberry.field(description="Which collection.")
    embedder: EmbedderInput | None = strawberry.field(
        default=ABSENT, description="Another embedder; as it is if absent."
    )
    chunking: ChunkingInput | None = strawberry.field(
        default=ABSENT, description="Other chunks; as they are if absent."
    )


@strawberry.input(description="What to search for.")
class SearchInput:
    """What to search for."""

    collection_id: strawberry.ID = strawberry.field(description="Which collection.")
    text: str | None = strawberry.field(
        default=ABSENT, description="The text to search for; give this, `vector` or both."
    )
    vector: list[float] | None = strawberry.field(default=ABSENT, description="A vector as long as the collection's.")
    top_k: int = strawberry.field(default=10, description="How many matches at most, 1 to 100.")
    mode: SearchMode = strawberry.field(default=SearchMode.SEMANTIC, description="How matches are found.")
    filter: Filter = strawberry.field(default=ABSENT, description="A condition on the documents' metadata.")
    score_threshold: float | None = strawberry.field(
        default=ABSENT, description="Matches below this score are left out."
    )

    def query(self) -> domain.SearchQuery:
        """Convert to the domain's.

        Raises:
            InvalidInput, LimitExceeded: the filter is no condition.
        """
        return domain.SearchQuery(
            or_none(self.text),
            or_none(self.vector),
            self.top_k,
            self.mode,
            condition_of(self.filter, "input", "filter"),
            or_none(self.score_threshold),
        )
