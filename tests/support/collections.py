"""A workspace with a collection, on all the services of the application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from domain.collections import Chunking, NewDocument, SearchQuery
from domain.connections import OpenaiCompatibleSettings
from runtime.collections import CollectionDraft, EmbedderChoice
from runtime.connections import ConnectionDraft
from runtime.services import open_services
from runtime.settings import EmbeddingSettings, OutboundSettings
from tests.support.identity import PASSWORD
from tests.support.services import settings_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from domain.collections import Collection, Match
    from domain.filters import Condition
    from domain.identity import Principal
    from runtime.services import Services

TEXTS = {
    "cat": "A kitten sleeps in the sun.",
    "dates": "How to parse dates and times in Python.",
    "bread": "Bread is baked from flour, water and yeast.",
}


def documents(**texts: str) -> list[NewDocument]:
    """Return documents by their keys, with the key as metadata."""
    return [NewDocument(key, text, {"key": key, "length": len(text)}) for key, text in (texts or TEXTS).items()]


@dataclass(frozen=True, slots=True)
class Library:
    """Somebody's collections."""

    services: Services
    owner: Principal

    async def make(self, name: str = "library", embedder: EmbedderChoice | None = None, **cut: int) -> Collection:
        """Make a collection."""
        draft = CollectionDraft(name, embedder or EmbedderChoice(), chunking=replace(Chunking(), **cut))
        return await self.services.collections.create(self.owner, None, draft)

    async def fill(self, collection: Collection, **texts: str) -> list[str]:
        """Write documents; return their ids as text."""
        _, written = await self.services.documents.upsert(self.owner, collection.id, documents(**texts))
        return [str(document.id) for document in written]

    async def find(
        self, collection: Collection, text: str, top_k: int = 3, condition: Condition | None = None
    ) -> Sequence[Match]:
        """Search for a text."""
        query = SearchQuery(text=text, top_k=top_k, condition=condition)
        return await self.services.collections.search(self.owner, collection.id, query)

    async def keys(self, collection: Collection, text: str, top_k: int = 3) -> list[str | None]:
        """Search for a text; return the keys of the documents found."""
        return [match.document.external_id for match in await self.find(collection, text, top_k)]

    async def connect(self, base_url: str, name: str = "vectors") -> EmbedderChoice:
        """Store a connection; return the embedder behind it."""
        draft = ConnectionDraft(name, OpenaiCompatibleSettings(base_url, "embedding-1"), "key")
        await self.services.connections.create(self.owner, None, draft)
        return EmbedderChoice(name)


@asynccontextmanager
async def open_library(
    database_url: str, data_dir: Path, *allowed: str, model: str | None = None, model_path: Path | None = None
) -> AsyncGenerator[Library]:
    """Open the services, with somebody who is signed up; `allowed` may be reached although it is private."""
    changes: dict[str, object] = {"outbound": OutboundSettings(allowed=allowed)}
    if model is not None:
        changes["embedding"] = EmbeddingSettings(model=model, model_path=model_path)
    settings = settings_on(database_url, data_dir).model_copy(update=changes)
    async with open_services(settings) as services:
        email = f"{uuid4().hex}@example.com"
        signed_in = await services.identity.sign_up(email, PASSWORD, "Ada", None, address="")
        yield Library(services, signed_in.principal)
