"""Ingestion beside bare fastembed: the same texts, cut alike, interleaved in one run."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from uuid_utils.compat import uuid7

from domain.collections import Chunking, NewDocument
from gql.demo.corpus import read_library
from runtime.chunking import cut_all
from runtime.clients.local_embeddings import FastembedModel
from runtime.collections import CollectionDraft
from runtime.local_embedder import MODEL_NAME, assemble
from runtime.services import open_services
from runtime.settings import EmbeddingSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DOCUMENTS: Final = 100
_PASSES: Final = 3


async def measure_ingestion(passes: int) -> dict[str, float]:
    """Return documents a second, bare and through the service, and the median of the ratios; three passes at most."""
    documents = [NewDocument(one.name, one.text, None) for one in read_library()[:_DOCUMENTS]]
    with tempfile.TemporaryDirectory(prefix="anabranch-bench-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder)
        path = assemble(data_dir / "embedder")
        bare = FastembedModel(MODEL_NAME, path, data_dir)
        chunks = [chunk for cut in await cut_all([one.text for one in documents], Chunking()) for chunk in cut]
        settings = Settings(
            _env_file=None,  # pyright: ignore[reportCallIssue]
            data_dir=data_dir,
            embedding=EmbeddingSettings(model=MODEL_NAME, model_path=path),
        )
        async with open_services(settings) as services:
            signed_in = await services.identity.sign_up("b@example.com", "bench-password", "B", None, address="")
            actor = signed_in.principal
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(min(passes, _PASSES)):
                theirs.append(await _timed_bare(bare, chunks))
                made = await services.collections.create(actor, None, CollectionDraft(f"c-{uuid7().hex}"))
                begun = time.perf_counter()
                for batch in _batches(documents, 100):
                    await services.documents.upsert(actor, made.id, batch)
                ours.append(time.perf_counter() - begun)
    ratios = [bare_s / our_s for bare_s, our_s in zip(theirs, ours, strict=True)]
    return {
        "bare fastembed: documents/s": len(documents) / statistics.median(theirs),
        "ingested: documents/s": len(documents) / statistics.median(ours),
        "ingested / bare fastembed (≥ 0.9)": statistics.median(ratios),
    }


async def _timed_bare(model: FastembedModel, chunks: Sequence[str]) -> float:
    def embed() -> float:
        loaded = model.load()
        begun = time.perf_counter()
        list(loaded.embed(chunks))
        return time.perf_counter() - begun

    return await asyncio.to_thread(embed)


def _batches(documents: Sequence[NewDocument], size: int) -> Iterator[Sequence[NewDocument]]:
    for start in range(0, len(documents), size):
        yield documents[start : start + size]
