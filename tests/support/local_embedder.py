"""The small embedding model, assembled and loaded once for a whole session of tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from runtime.clients.local_embeddings import FastembedModel
from runtime.local_embedder import MODEL_NAME, assemble
from runtime.settings import EmbeddingSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMENSION = 384


# Sessions share it, since it only ever gets the same files. Made at import: tests must not touch the disk in an event loop.
MODEL_PATH = assemble(Path(gettempdir()) / "anabranch-test-embedder")


@cache
def real_model() -> FastembedModel:
    """Return the model."""
    return FastembedModel(MODEL_NAME, MODEL_PATH, Path(gettempdir()))


def embedding_settings() -> EmbeddingSettings:
    """Return settings of a server that embeds with it."""
    return EmbeddingSettings(model=MODEL_NAME, model_path=MODEL_PATH)


def vectors(*texts: str) -> Sequence[Sequence[float]]:
    """Return the vectors of texts."""
    return real_model().embed(texts, is_query=False).tolist()
