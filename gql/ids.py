"""Global ids at the border: `wf_01jd…` for clients, UUIDs inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry

from domain.errors import InvalidId
from domain.ids import Prefix, WorkspaceId, from_global, to_global
from gql.absent import or_none

if TYPE_CHECKING:
    from uuid import UUID


def to_id(prefix: Prefix, value: UUID) -> strawberry.ID:
    """Return the id that clients see."""
    return strawberry.ID(to_global(prefix, value))


def from_id(prefix: Prefix, text: str, *path: str) -> UUID:
    """Return the UUID of an id that a client sent as the argument at `path`.

    Raises:
        InvalidId: it is no id of this type.
    """
    try:
        return from_global(prefix, text)
    except InvalidId:
        raise InvalidId(given=text, path=path or None) from None


def find_id(prefix: Prefix, text: str) -> UUID | None:
    """Return the UUID of an id that a client sent; None if it is no id of this type."""
    try:
        return from_global(prefix, text)
    except InvalidId:
        return None


def workspace_id_of(given: strawberry.ID | None, *path: str) -> WorkspaceId | None:
    """Return the workspace that a client named as the argument at `path`; None if it named none.

    Raises:
        InvalidId: it is no id of a workspace, as an empty text is none.
    """
    named = or_none(given)
    return None if named is None else WorkspaceId(from_id(Prefix.WORKSPACE, named, *path))
