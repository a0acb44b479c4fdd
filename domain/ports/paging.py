"""How lists are read in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of an ordered list; `after` and `before` are keysets as the repository wrote them into `Page.cursors`."""

    limit: int
    after: str | None = None
    before: str | None = None
    is_backward: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of an ordered list, always in the list's own order; `cursors` has one for each item."""

    items: Sequence[Item]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
