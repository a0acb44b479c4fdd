"""Pages of ordered lists by keyset: a cursor is the place of a row in the order, so it survives inserts and deletes."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, ColumnElement, Row, Select, column, func, literal, select, true, tuple_
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from domain.errors import CursorInvalid
from domain.ports.paging import Page, PageRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

Item = TypeVar("Item")
Owner = TypeVar("Owner", bound=UUID)
"""A `NewType` of ids, such as `WorkspaceId`."""
Key: TypeAlias = "str | int | Decimal | UUID"
KeyType: TypeAlias = "type[str | int | Decimal | UUID]"

_MAX_CURSOR = 4_096
_MAX_INT = 2**63
_MAX_EXPONENT = 16_383
"""What `numeric` holds on either side of the point, and less than it holds in front."""


def encode_cursor(values: Sequence[Key], name: str = "") -> str:
    """Return the keyset of a row, and the name of its order if it has one, as an opaque text."""
    # asyncpg's UUIDs are a subclass, which orjson does not know.
    plain = [str(value) if isinstance(value, UUID | Decimal) else value for value in values]
    return urlsafe_b64encode(orjson.dumps([name, *plain] if name else plain)).rstrip(b"=").decode()


def decode_cursor(cursor: str, types: Sequence[KeyType], name: str = "") -> list[Key]:
    """Return the keyset of a cursor.

    Raises:
        CursorInvalid: it was not made by `encode_cursor` for an order of this name and these types.
    """
    if len(cursor) > _MAX_CURSOR:
        raise CursorInvalid
    try:
        values: object = orjson.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(values, list):
            raise CursorInvalid
        listed = cast("list[object]", values)
        if name and listed[:1] != [name]:
            raise CursorInvalid
        listed = listed[1:] if name else listed
        return [_typed(value, kind) for value, kind in zip(listed, types, strict=True)]
    except (ValueError, InvalidOperation):
        raise CursorInvalid from None


def _typed(value: object, kind: KeyType) -> Key:
    if kind is UUID and isinstance(value, str):
        return UUID(value)
    if kind is Decimal and isinstance(value, str) and _is_numeric(number := Decimal(value)):
        return number
    if kind is int and type(value) is int and abs(value) < _MAX_INT:
        return value
    # PostgreSQL stores no NUL; orjson refuses lone surrogates by itself.
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    raise CursorInvalid


def _is_numeric(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MAX_EXPONENT and number.adjusted() <= _MAX_EXPONENT


async def read_page(
    connection: AsyncConnection,
    statement: Select[Any],
    keys: Sequence[tuple[ColumnElement[Any], KeyType]],
    request: PageRequest,
    make: Callable[[Row[Any]], Item],
    *,
    is_descending: bool = False,
    name: str = "",
) -> Page[Item]:
    """Read one page of `statement` in the order of `keys`, which must be unique together and selected by it.

    Args:
        connection: an open transaction.
        statement: without order and limit.
        keys: the columns of the order with their types, the last one unique.
        request: which part.
        make: turns a row into an item.
        is_descending: whether the list runs from the largest key to the smallest.
        name: which of several orders with keys of the same types this is; its cursors are no other's.

    Raises:
        CursorInvalid: a cursor of another list, or none at all.
    """
    columns = [key for key, _ in keys]
    part = _part(statement, keys, request, is_descending=is_descending, name=name)
    rows = (await connection.execute(part)).all()
    return _page(rows, columns, request, make, name)


async def read_counts(
    connection: AsyncConnection,
    owner: ColumnElement[UUID],
    owner_ids: Sequence[Owner],
    *conditions: ColumnElement[bool],
) -> dict[Owner, int]:
    """Count what each of several owners has, in one statement."""
    # By equality where it is one: conditions and indexes were made for that.
    is_theirs = owner == owner_ids[0] if len(owner_ids) == 1 else owner.in_(owner_ids)
    counted = select(owner, func.count()).where(is_theirs, *conditions).group_by(owner)
    counts: dict[UUID, int] = {row[0]: row[1] for row in await connection.execute(counted)}
    return {owner_id: counts.get(owner_id, 0) for owner_id in owner_ids}


async def read_pages(
    connection: AsyncConnection,
    statement: Select[Any],
    keys: Sequence[tuple[ColumnElement[Any], KeyType]],
    request: PageRequest,
    make: Callable[[Row[Any]], Item],
    *,
    owner: ColumnElement[UUID],
    owner_ids: Sequence[Owner],
    is_descending: bool = False,
    name: str = "",
    is_walked: bool = False,
) -> dict[Owner, Page[Item]]:
    """Read the same part of the lists of several owners, in one statement; that of one as the list that it is.

    Args:
        connection: an open transaction.
        statement: without order and limit, for all owners.
        keys: as in `read_page`; they are selected by their names.
        request: which part of each list.
        make: turns a row into an item.
        owner: the column of the statement that says whose a row is.
        owner_ids: whose lists.
        is_descending: as in `read_page`.
        name: as in `read_page`.
        is_walked: whether another index has the keys in their order: the planner would walk through all rows in it, since it
            plans for an owner of many. Without an equality it must take the index that begins with the owner.

    Raises:
        CursorInvalid: a cursor of another list, or none at all.
    """
    if len(owner_ids) == 1:
        # The planner knows what this owner has, which it does not while it plans for all of them.
        statement, one = statement.where(owner == owner_ids[0]), is_descending
        page = await read_page(connection, statement, keys, request, make, is_descending=one, name=name)
        return {owner_ids[0]: page}
    owners = func.unnest(cast_to(literal(list(owner_ids), ARRAY(Uuid)), ARRAY(Uuid)))
    asked = owners.table_valued(column("owner_id", Uuid)).render_derived(name="asked")
    is_its = owner.between(asked.c.owner_id, asked.c.owner_id) if is_walked else owner == asked.c.owner_id
    led = owner if is_walked else None
    its = statement.where(is_its)
    part = _part(its, keys, request, is_descending=is_descending, name=name, led=led).lateral("part")
    columns: list[ColumnElement[Any]] = [part.c[key.key or ""] for key, _ in keys]
    order = [key.desc() if is_descending is not request.is_backward else key.asc() for key in columns]
    joined = select(asked.c.owner_id, *part.c).select_from(asked.join(part, true())).order_by(*order)
    rows: dict[Owner, list[Row[Any]]] = {owner_id: [] for owner_id in owner_ids}
    for row in await connection.execute(joined):
        rows[row.owner_id].append(row)
    return {owner_id: _page(found, columns, request, make, name) for owner_id, found in rows.items()}


def _part(
    statement: Select[Any],
    keys: Sequence[tuple[ColumnElement[Any], KeyType]],
    request: PageRequest,
    *,
    is_descending: bool,
    name: str,
    led: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """Return the statement of a page, and of one row more; `led` is one value, and leads the order."""
    columns = [key for key, _ in keys]
    types = [kind for _, kind in keys]
    place = tuple_(*columns)
    if request.after is not None:
        bound = _place(request.after, columns, types, name)
        statement = statement.where(place < bound if is_descending else place > bound)
    if request.before is not None:
        bound = _place(request.before, columns, types, name)
        statement = statement.where(place > bound if is_descending else place < bound)
    ordered = columns if led is None else [led, *columns]
    order = [key.desc() if is_descending is not request.is_backward else key.asc() for key in ordered]
    return statement.order_by(*order).limit(request.limit + 1)


def _page(
    rows: Sequence[Row[Any]],
    columns: Sequence[ColumnElement[Any]],
    request: PageRequest,
    make: Callable[[Row[Any]], Item],
    name: str,
) -> Page[Item]:
    has_more = len(rows) > request.limit
    rows = rows[: request.limit]
    if request.is_backward:
        rows = rows[::-1]
    return Page(
        items=[make(row) for row in rows],
        cursors=[encode_cursor([row._mapping[key] for key in columns], name) for row in rows],  # noqa: SLF001 - SQLAlchemy's public name
        has_next=has_more if not request.is_backward else request.before is not None,
        has_previous=has_more if request.is_backward else request.after is not None,
    )


def _place(
    cursor: str, columns: Sequence[ColumnElement[Any]], types: Sequence[KeyType], name: str
) -> ColumnElement[Any]:
    values = decode_cursor(cursor, types, name)
    # Whole numbers as the widest: the one of a forged cursor need not be of its column's width.
    kinds = [BigInteger() if kind is int else key.type for key, kind in zip(columns, types, strict=True)]
    return tuple_(*(literal(value, kind) for value, kind in zip(values, kinds, strict=True)))
