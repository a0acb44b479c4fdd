"""Keys of tokens and of secrets at rest: given by a setting, or made once under the data directory."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from secrets import token_bytes, token_hex
from typing import TYPE_CHECKING

from domain.errors import SetupFault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from runtime.settings import Settings

KEY_BYTES = 32


def open_keys(given: Sequence[SecretStr], path: Path, *, is_made: bool = True) -> tuple[str, ...]:
    """Return the keys of a setting, else those of a file, one a line, which is made with one key if it is missing.

    Args:
        given: what the setting says; it wins.
        path: the file, readable for its owner only.
        is_made: whether a missing file is made; not where several machines need the same key.

    Raises:
        SetupFault: neither setting nor file, or others may read the file.
    """
    if given:
        return tuple(key.get_secret_value() for key in given)
    if not path.exists():
        if not is_made:
            raise SetupFault(
                "Set ANABRANCH_ENCRYPTION_KEYS: with a database outside, the key must not lie on one machine alone."
            )
        _make(path)
    if path.stat().st_mode & 0o077:
        raise SetupFault(f"Others may read the keys in {path}: run `chmod 600 {path}`.")
    keys = tuple(line.strip() for line in path.read_text("ascii").splitlines() if line.strip())
    if not keys:
        raise SetupFault(f"There is no key in {path}.")
    return keys


def open_encryption_keys(settings: Settings) -> tuple[str, ...]:
    """Return the keys of secrets at rest; only beside an embedded database one is made.

    Raises:
        SetupFault: there is none, or others may read it.
    """
    is_embedded = settings.database_url is None
    return open_keys(settings.encryption_keys, settings.data_dir / "encryption.key", is_made=is_embedded)


def _make(path: Path) -> None:
    """Write a new file beside and link it: of two processes that start together, one wins and both read its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{token_hex(8)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(urlsafe_b64encode(token_bytes(KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
