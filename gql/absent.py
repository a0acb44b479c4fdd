"""Arguments that may be absent: without a default of `null` in the schema, and None for the services."""

from __future__ import annotations

from typing import Any, TypeVar

import strawberry

Value = TypeVar("Value")

ABSENT: Any = strawberry.UNSET
"""The default of an optional argument or field of an input."""


def or_none(given: Value | None) -> Value | None:
    """Return what was given; None for what was absent."""
    return None if given is ABSENT else given
