"""`Retry-After`: how long a server asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_S = 86_400.0


def retry_after_s(headers: Iterable[tuple[str, str]], now: datetime) -> float | None:
    """Return the seconds to wait, at most a day; None where nothing readable is said.

    Source: RFC 9110, 10.2.3; and `retry-after-ms`, which some model APIs send.
    """
    found = {name.lower(): value.strip() for name, value in headers}
    milliseconds = found.get("retry-after-ms", "")
    if milliseconds.isdecimal():
        return min(float(milliseconds) / 1_000, _LONGEST_S)
    text = found.get("retry-after", "")
    if text.isdecimal():
        return min(float(text), _LONGEST_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter of numbers that no clock has
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_S)
