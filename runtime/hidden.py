"""Keeps the values of secrets out of what nodes record: their outputs, errors and streamed texts.

A peer may repeat what it was sent. See `docs/adr/0043-peers-repeat-secrets.md`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote, quote_plus

from domain.configs import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.json_value import Json

_LEAST_IN_NAMES: Final = 16
"""A shorter value may be a word of a peer's own, as some passwords are that everybody uses: its name would be gone."""
_LEAST: Final = 8
"""Shorter values are left alone: they would be found in any text, and guessed from its holes."""


class Hidden:
    """The values that one attempt got to know, in the forms in which a peer may repeat them."""

    __slots__ = ("_forms", "_in_names", "_long_forms", "_pattern")

    def __init__(self, values: Iterable[str | None] = ()) -> None:
        self._forms: set[str] = set()
        self._long_forms: set[str] = set()
        self._in_names: re.Pattern[str] | None = None
        self._pattern: re.Pattern[str] | None = None
        self.add(values)

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return self._pattern is not None

    def add(self, values: Iterable[str | None]) -> None:
        """Hide more values; those of fewer than 8 characters stay visible."""
        given = [value for value in values if value]
        self._long_forms |= {form for value in given if len(value) >= _LEAST_IN_NAMES for form in _forms(value)}
        found = {form for value in given for form in _forms(value)} - self._forms
        if not found:
            return
        self._forms |= found
        self._pattern, self._in_names = _compiled(self._forms), _compiled(self._long_forms)

    def text(self, text: str) -> str:
        """Return a text without the values."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def json(self, value: Json) -> Json:
        """Return JSON without the values, digits of numbers included; in names of fields only those of 16 characters and more."""
        if self._pattern is None or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int | float):
            return MASK if self._pattern.search(json.dumps(value)) else value
        if isinstance(value, dict):
            fields = cast("Mapping[str, Json]", value)
            return {self._name(name): self.json(field) for name, field in fields.items()}
        return [self.json(item) for item in cast("list[Json]", value)]

    def _name(self, name: str) -> str:
        return name if self._in_names is None else self._in_names.sub(MASK, name)

    def cut(self, text: str) -> tuple[str, str]:
        """Return a piece of a stream without the values, and its end that may be the beginning of one."""
        text = self.text(text)
        longest = max((len(form) for form in self._forms), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            # Looked for in the forms themselves: a set of all their beginnings would grow with the square of their length.
            if any(form.startswith(text[-size:]) for form in self._forms):
                return text[:-size], text[-size:]
        return text, ""


def _compiled(forms: set[str]) -> re.Pattern[str] | None:
    # The longest first: of two that begin alike, the rest of the longer one would stay.
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None


def _forms(value: str) -> set[str]:
    """A value as it is, as JSON and addresses write it, and in base64."""
    if len(value) < _LEAST:
        return set()
    raw = value.encode("utf-8", "surrogatepass")
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        b64encode(raw).decode().rstrip("="),
        urlsafe_b64encode(raw).decode().rstrip("="),
    }
