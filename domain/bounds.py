"""Whole numbers of workflows, such as times in milliseconds: as large as the API can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field

if TYPE_CHECKING:
    from pydantic import ValidationInfo

LARGEST: Final = 2_147_483_647
"""The largest number of the API's `Int`; as milliseconds, 24 days."""
STORED: Final = {"is_stored": True}
"""The context in which numbers that were stored before they had a bound are read as the largest, not refused."""


def _bounded(value: Any, info: ValidationInfo) -> Any:
    if info.context is STORED and isinstance(value, int):
        return min(value, LARGEST)
    return value


Count = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(_bounded)]
"""A number from 1 that the API can tell."""
