"""Ingestion beside bare fastembed: the same texts, cut alike, interleaved in one run."""

from __future__ import annotations

import asyncio
import inspect
import statistics
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from uuid_utils.compat import uuid7

from domain.collections import Chunking, NewDocument
from runtime.chunking import cut_all
from runtime.clients.local_embeddings import FastembedModel
from runtime.collections import CollectionDraft
from runtime.local_embedder import MODEL_NAME, assemble
from runtime.services import open_services
from runtime.settings import EmbeddingSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MODULES: Final = (
    "argparse", "ast", "asyncio", "bisect", "calendar", "collections", "concurrent.futures", "configparser", "contextlib",
    "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal", "difflib", "email", "enum", "fileinput", "fractions",
    "functools", "gzip", "heapq", "html", "http.client", "inspect", "io", "ipaddress", "itertools", "json", "logging",
    "mailbox", "math", "mimetypes", "multiprocessing", "operator", "os", "pathlib", "pickle", "platform", "pprint", "queue",
    "random", "re", "selectors", "shelve", "shlex", "shutil", "signal", "socket", "sqlite3", "ssl", "statistics", "string",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "time", "traceback", "typing", "unittest", "urllib.parse",
    "uuid", "wave", "weakref", "xml.dom", "zipfile", "zlib",
)  # fmt: skip


def docstrings(count: int) -> list[NewDocument]:
    """Return documents that every machine has: docstrings of the standard library, each once."""
    found: dict[str, str] = {}
    for module_name in _MODULES:
        module = import_module(module_name)
        for name, thing in inspect.getmembers(module):
            text = inspect.getdoc(thing) if callable(thing) and not name.startswith("_") else None
            if text and text.strip():
                found.setdefault(text, f"{module_name}.{name}")
    return [NewDocument(key, text, {"module": key.rsplit(".", 1)[0]}) for text, key in found.items()][:count]


async def measure(count: int, passes: int) -> dict[str, float]:
    """Return documents a second, bare and through the service, and the ratio of the medians."""
    documents = docstrings(count)
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
            for _ in range(passes):
                theirs.append(await _timed_bare(bare, chunks))
                made = await services.collections.create(actor, None, CollectionDraft(f"c-{uuid7().hex}"))
                begun = time.perf_counter()
                for batch in _batches(documents, 100):
                    await services.documents.upsert(actor, made.id, batch)
                ours.append(time.perf_counter() - begun)
    ratios = [bare_s / our_s for bare_s, our_s in zip(theirs, ours, strict=True)]
    return {
        "documents": float(len(documents)),
        "chunks": float(len(chunks)),
        "bare fastembed, documents/s": len(documents) / statistics.median(theirs),
        "ingested, documents/s": len(documents) / statistics.median(ours),
        "ingested : bare": statistics.median(ratios),
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


async def main(count: int, passes: int) -> None:
    """Measure and print."""
    for name, value in (await measure(count, passes)).items():
        print(f"{name:<40} {value:>12,.2f}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, 3)))
