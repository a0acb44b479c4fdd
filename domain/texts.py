"""Texts from outside: what the database can store and a page can show."""

from __future__ import annotations

import re
from typing import Final

from domain.errors import InvalidInput

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return a text with U+FFFD for what the database cannot hold: NUL and halves of surrogate pairs."""
    return _UNSTORABLE.sub("\ufffd", text)


def size_of(value: str, path: list[str]) -> int:
    """Return the bytes of a text in UTF-8.

    Raises:
        InvalidInput: it holds half of a surrogate pair, which no encoding has.
    """
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput("This text holds half of a surrogate pair.", path=path) from None


def check_text(value: str, path: list[str], *, limit: int) -> str:
    """Return a free text that the database can store.

    Raises:
        InvalidInput: it holds NUL or half of a surrogate pair, or is longer than `limit` characters.
    """
    size_of(value, path)
    if "\0" in value or len(value) > limit:
        raise InvalidInput(f"This text has at most {limit:,} characters, none of them NUL.", path=path)
    return value


def check_line(value: str, path: list[str], *, limit: int) -> str:
    """Return a text of one line, such as a name, without white space around it.

    Raises:
        InvalidInput: it is empty, has control characters or half of a surrogate pair, or is longer than `limit`.
    """
    line = value.strip()
    size_of(line, path)
    if not line or len(line) > limit or not line.isprintable():
        raise InvalidInput(f"This is one line of 1 to {limit:,} characters.", path=path)
    return line
