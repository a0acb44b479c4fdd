"""Slugs of workflows: lower-case letters and digits with dashes between them, unique in a workspace."""

from __future__ import annotations

import re
import unicodedata
from secrets import token_hex
from typing import Final

from domain.errors import InvalidInput
from domain.workflow import SLUG_PATTERN

_MAX_CHARS: Final = 64
_NUMBERED: Final = 9


def slug_of(name: str) -> str:
    """Return a slug made from a name; `workflow` where the name has nothing that a slug can hold."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_CHARS].strip("-") or "workflow"


def checked_slug(given: str) -> str:
    """Return a slug that somebody chose.

    Raises:
        InvalidInput: it is none.
    """
    if re.fullmatch(SLUG_PATTERN, given) is None:
        message = "A slug is lower-case letters, digits and dashes between them, 64 at most."
        raise InvalidInput(message, path=["input", "slug"])
    return given


def candidates(slug: str) -> list[str]:
    """Return what to try where a slug may be taken: itself, numbered ones, and one that nobody has."""
    endings = ["", *(f"-{number}" for number in range(2, _NUMBERED + 1)), f"-{token_hex(4)}"]
    return [slug[: _MAX_CHARS - len(ending)].rstrip("-") + ending for ending in endings]
