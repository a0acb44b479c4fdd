from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from domain.errors import NodeFault
from runtime.clients.local_embeddings import DEFAULT_MODEL, FastembedModel, LocalEmbedder
from tests.support.local_embedder import DIMENSION, MODEL_PATH, real_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MODEL = real_model()


async def test_what_means_the_same_is_nearer_than_what_does_not() -> None:
    embedder = LocalEmbedder(MODEL)
    found = await embedder.embed(["a kitten sleeps", "parsing dates in Python", "a small cat is asleep"])
    assert (found.shape, found.dtype) == ((3, DIMENSION), np.float32)
    near = found @ found.T
    assert near[0, 2] > 0.5
    assert near[0, 1] < 0.3


async def test_vectors_come_in_the_order_of_their_texts_however_they_are_batched() -> None:
    embedder = LocalEmbedder(MODEL)
    texts = [f"number {number} " * (number % 7 + 1) for number in range(70)]
    found = await embedder.embed(texts)
    one = await embedder.embed([texts[5]])
    assert found.shape == (70, DIMENSION)
    assert float(found[5] @ one[0]) > 0.98
    assert int(np.argmax(found @ one[0])) == 5


async def test_no_texts_load_no_model(tmp_path: Path) -> None:
    embedder = LocalEmbedder(FastembedModel("none", tmp_path, tmp_path))
    assert (await embedder.embed([])).shape == (0, 0)


class Watched(FastembedModel):
    """The real model, with a count of who is in it."""

    inside = 0
    most = 0
    begun = 0

    def embed(self, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32]:
        self.inside += 1
        self.begun += 1
        self.most = max(self.most, self.inside)
        try:
            return MODEL.embed(texts, is_query=is_query)
        finally:
            self.inside -= 1


async def test_batches_go_one_at_a_time_and_a_search_does_not_wait_for_all_of_them(tmp_path: Path) -> None:
    model = Watched("watched", None, tmp_path)
    embedder = LocalEmbedder(model)
    many = [asyncio.create_task(embedder.embed(["some text"] * 96), name="ingestion") for _ in range(2)]
    await asyncio.sleep(0)
    await embedder.embed(["a query"], is_query=True)
    assert not all(task.done() for task in many)
    await asyncio.gather(*many)
    assert model.most <= 2
    assert model.begun == 7


async def test_a_cancelled_ingestion_stops_after_the_batch_in_hand(tmp_path: Path) -> None:
    model = Watched("watched", None, tmp_path)
    task = asyncio.create_task(LocalEmbedder(model).embed(["some text"] * 3_200), name="ingestion")
    while not model.begun:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.begun <= 2


def test_a_directory_that_lacks_files_is_one_sentence_that_names_them(tmp_path: Path) -> None:
    for name in ("config.json", "model.onnx"):
        (tmp_path / name).symlink_to(MODEL_PATH / name)
    with pytest.raises(NodeFault) as caught:
        FastembedModel("mine", tmp_path, tmp_path).load()
    assert caught.value.code == "MODEL_UNAVAILABLE"
    assert "it lacks special_tokens_map.json, tokenizer.json, tokenizer_config.json" in caught.value.message


def test_files_that_are_no_model_are_one_sentence(tmp_path: Path) -> None:
    for name in ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).symlink_to(MODEL_PATH / name)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(NodeFault, match="its files cannot be used"):
        FastembedModel("mine", tmp_path, tmp_path).load()


def test_an_unknown_name_says_where_a_model_may_come_from(tmp_path: Path) -> None:
    with pytest.raises(NodeFault, match="set ANABRANCH_EMBEDDING__MODEL_PATH"):
        FastembedModel("nobody/knows", None, tmp_path).load()


def test_a_model_that_cannot_be_downloaded_says_so_quickly_and_what_to_do(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from runtime.clients.local_embeddings import DEFAULT_MODEL, FastembedModel\n"
        "import fastembed\n"
        "begun = time.monotonic()\n"
        "try:\n"
        "    FastembedModel(DEFAULT_MODEL, None, Path(sys.argv[1])).load()\n"
        "except Exception as fault:\n"
        "    print(type(fault).__name__, fault.code, fault.message, sep='|')\n"
        "print(time.monotonic() - begun)\n"
    )
    # Nothing listens there: as if the machine were offline.
    offline = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=offline,
    )
    told, seconds = done.stdout.strip().splitlines()
    kind, code, message = told.split("|")
    assert (kind, code) == ("NodeFault", "MODEL_UNAVAILABLE")
    assert message == (
        f"The embedding model '{DEFAULT_MODEL}' is not on this machine and cannot be downloaded: set "
        "ANABRANCH_EMBEDDING__MODEL_PATH to a directory that has its files, or name a connection in the collection's "
        "`embedder`."
    )
    assert float(seconds) < 10
    assert done.stderr == ""


def test_a_model_is_loaded_once(tmp_path: Path) -> None:
    model = FastembedModel("minilm", MODEL_PATH, tmp_path)
    first = model.load()
    begun = time.thread_time()
    assert model.load() is first
    assert time.thread_time() - begun < 0.05
