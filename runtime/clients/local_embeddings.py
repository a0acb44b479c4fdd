"""Vectors of texts from a model in this process: fastembed, which runs ONNX on the CPU."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from domain.errors import NodeFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEFAULT_MODEL: Final = "BAAI/bge-small-en-v1.5"
_BATCH: Final = 32
"""Texts at once. Sorted by length they are padded least; more at a time is not faster and keeps searches waiting."""
_MODEL_FILE: Final = "model.onnx"
FILES: Final = ("config.json", _MODEL_FILE, "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
"""What a directory of a model holds."""


@dataclass(slots=True)
class FastembedModel:
    """A model and where its files are; loaded once, at first use. Its methods block."""

    name: str
    path: Path | None
    cache_dir: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _loaded: Any = None

    def load(self) -> Any:
        """Return the model, loading it if need be; other threads wait meanwhile.

        Raises:
            NodeFault: `MODEL_UNAVAILABLE`, saying what to do.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.name, self.path or _download(self.name, self.cache_dir))
            return self._loaded

    def embed(self, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32]:
        """Return `(n, dim)` float32, one row for each text; `n` is at least 1.

        Raises:
            NodeFault: `MODEL_UNAVAILABLE`, `INVALID_RESPONSE`.
        """
        model = self.load()
        rows = model.query_embed(list(texts)) if is_query else model.embed(list(texts), batch_size=_BATCH)
        vectors = np.asarray(list(rows), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():  # noqa: PLR2004 -- rows and columns
            raise NodeFault("INVALID_RESPONSE", f"The model {self.name!r} gave no vectors that can be used.")
        return vectors


class LocalEmbedder:
    """A model in this process, one batch at a time beside one query; implements `Embedder` of the ports."""

    def __init__(self, model: FastembedModel) -> None:
        self._model = model
        # A search must not wait for all of an ingestion that came before it.
        self._queries = asyncio.Semaphore(1)
        self._batches = asyncio.Semaphore(1)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        """Return `(n, dim)` float32, one row for each text.

        Raises:
            NodeFault: `MODEL_UNAVAILABLE`, `INVALID_RESPONSE`.
        """
        if not texts:
            return np.empty((0, 0), np.float32)
        limit = self._queries if is_query else self._batches
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(order), _BATCH):
            batch = [texts[place] for place in order[start : start + _BATCH]]
            # Let go between batches, so that callers take turns and one that is cancelled stops.
            async with limit:
                parts.append(await asyncio.to_thread(self._model.embed, batch, is_query=is_query))
        sorted_vectors = np.concatenate(parts)
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors


def _download(name: str, cache_dir: Path) -> Path:
    """Return the directory of a model that fastembed knows: from the cache, else downloaded into it."""
    # Much native code, and only where a local model is used.
    from fastembed import TextEmbedding  # noqa: PLC0415
    from fastembed.common.model_management import ModelManagement  # noqa: PLC0415
    from huggingface_hub.utils import disable_progress_bars  # noqa: PLC0415

    known: dict[str, dict[str, Any]] = {one["model"].lower(): one for one in TextEmbedding.list_supported_models()}
    described = known.get(name.lower())
    source: str | None = described["sources"]["hf"] if described else None
    if described is None or source is None:
        message = (
            f"The embedding model {name!r} is none that can be downloaded by its name: set "
            "ANABRANCH_EMBEDDING__MODEL_PATH to a directory that has its files."
        )
        raise NodeFault("MODEL_UNAVAILABLE", message)
    disable_progress_bars()
    files = [described["model_file"], *described["additional_files"]]
    # `TextEmbedding` would try for 40 seconds, with pauses, before it gives up.
    for is_local in (True, False):
        with contextlib.suppress(Exception):
            found = Path(
                ModelManagement.download_files_from_huggingface(
                    source, str(cache_dir), extra_patterns=files, local_files_only=is_local
                )
            )
            if all((found / file).exists() for file in files):
                return found
    message = (
        f"The embedding model {name!r} is not on this machine and cannot be downloaded: set "
        "ANABRANCH_EMBEDDING__MODEL_PATH to a directory that has its files, or name a connection in the collection's "
        "`embedder`."
    )
    raise NodeFault("MODEL_UNAVAILABLE", message)


def _load(name: str, path: Path) -> Any:
    from fastembed import TextEmbedding  # noqa: PLC0415 -- as above

    try:
        known: dict[str, dict[str, Any]] = {one["model"].lower(): one for one in TextEmbedding.list_supported_models()}
        described = known.get(name.lower())
        if described is None or not (path / described["model_file"]).exists():
            name = _register(name, path, known)
        return TextEmbedding(name, specific_model_path=str(path))
    except Exception as error:  # whatever fastembed, tokenizers and onnxruntime say of files that are not theirs
        missing = [file for file in FILES if not (path / file).is_file()]
        why = f"it lacks {', '.join(missing)}" if missing else f"its files cannot be used ({type(error).__name__})"
        message = f"The embedding model {name!r} cannot be loaded from {path}: {why}."
        raise NodeFault("MODEL_UNAVAILABLE", message) from error


def _register(name: str, path: Path, known: dict[str, dict[str, Any]]) -> str:
    """Tell fastembed of a model that it does not know in this form, and return the name that it has there."""
    from fastembed import TextEmbedding  # noqa: PLC0415 -- as above
    from fastembed.common.model_description import ModelSource, PoolingType  # noqa: PLC0415

    own_name = f"{name} in {path}"
    if own_name.lower() in known:
        return own_name
    pooling = path / "1_Pooling" / "config.json"
    is_cls = pooling.is_file() and orjson.loads(pooling.read_bytes()).get("pooling_mode_cls_token") is True
    TextEmbedding.add_custom_model(
        model=own_name,
        pooling=PoolingType.CLS if is_cls else PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=int(orjson.loads((path / "config.json").read_bytes())["hidden_size"]),
        model_file=_MODEL_FILE,
    )
    return own_name
