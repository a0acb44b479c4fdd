"""Objects by their global ids: each feature says how the objects of its prefix are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from domain.errors import InvalidId, NotFound
from domain.ids import Prefix, decode_uuid, split_global

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from gql.context import Info

Find: TypeAlias = "Callable[[Info, UUID], Awaitable[object | None]]"
FindComposite: TypeAlias = "Callable[[Info, str], Awaitable[object | None]]"

_finders: dict[Prefix, FindComposite] = {}


def register_node(prefix: Prefix, find: Find) -> None:
    """Say how an object with this prefix is found: `find(info, uuid)` gives it, or None for a caller who may not see it.

    Called once for each type, where the feature's types are declared.
    """

    async def find_by_text(info: Info, rest: str) -> object | None:
        return await find(info, decode_uuid(rest))

    register_composite_node(prefix, find_by_text)


def register_composite_node(prefix: Prefix, find: FindComposite) -> None:
    """Say how an object is found whose id is more than a UUID: `find(info, text behind the prefix)`."""
    _finders[prefix] = find


def registered_prefixes() -> frozenset[Prefix]:
    """Return the prefixes that `node` understands."""
    return frozenset(_finders)


async def find_node(info: Info, text: str) -> object | None:
    """Return the object of a global id; None for what does not exist for the caller."""
    try:
        prefix, rest = split_global(text)
        find = _finders.get(prefix)
        return None if find is None else await find(info, rest)
    except (InvalidId, NotFound):
        return None
