"""Rows of tables as SQL sees them: conditions and orders in the type of their columns.

Column names are bound as the keys of `jsonb` that they are; none becomes part of a statement.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, assert_never, cast
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Integer, Numeric, Text, and_, case, false, func, literal, or_, select, true
from sqlalchemy import cast as as_type

from domain.data_tables import ColumnType, RowOrder
from domain.filters import AllOf, AnyOf, Comparison, Condition, Not, Operator
from persistence.filters import each_text, where
from persistence.tables import data_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from domain.data_tables import ChosenRows
    from persistence.paging import KeyType

MAX_ORDERED_CHARS: Final = 256
"""Texts are ordered by so many of their first characters: a cursor holds them."""
_COMPARED: Final = {
    Operator.EQ: "=",
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LT: "<",
    Operator.LTE: "<=",
}


def where_rows(chosen: ChosenRows) -> Sequence[ColumnElement[bool]]:
    """Return the SQL of a checked condition on the rows of tables; none if there is no condition."""
    return [] if chosen.condition is None else [_where(chosen.condition, frozenset(chosen.exact))]


def keys_of(order: RowOrder | None) -> Sequence[tuple[ColumnElement[Any], KeyType]]:
    """Return what rows are ordered by, with the types; rows without a value come last, whatever the direction."""
    if order is None:
        return [(data_rows.c.id, UUID)]
    value, kind = _ordered(order)
    is_last = int(not order.is_descending)
    is_absent = case((_text_of(order.name).is_(None), literal(is_last, Integer)), else_=1 - is_last)
    return [(is_absent.label("absent"), int), (value.label("ordered_by"), kind), (data_rows.c.id, UUID)]


def _ordered(order: RowOrder) -> tuple[ColumnElement[Any], KeyType]:
    text = _text_of(order.name)
    match order.type:
        case ColumnType.INTEGER:
            return func.coalesce(as_type(text, BigInteger), 0), int
        case ColumnType.NUMERIC:
            return func.coalesce(as_type(text, Numeric), 0), Decimal
        case ColumnType.BOOLEAN:
            return func.coalesce(as_type(as_type(text, Boolean), Integer), 0), int
        case _:
            return func.coalesce(func.left(text, MAX_ORDERED_CHARS, type_=Text()), ""), str


def _where(condition: Condition, exact: frozenset[str]) -> ColumnElement[bool]:
    match condition:
        case AllOf(conditions):
            return and_(true(), *(_where(one, exact) for one in conditions))
        case AnyOf(conditions):
            return or_(false(), *(_where(one, exact) for one in conditions))
        case Not(inner):
            return ~_where(inner, exact)
        case Comparison():
            is_exact = condition.path[0] in exact and condition.operator is not Operator.EXISTS
            return _where_exact(condition) if is_exact else where(condition, data_rows.c.row)
        case _:
            assert_never(condition)


def _where_exact(one: Comparison) -> ColumnElement[bool]:
    """Compare a column of NUMERIC, whose numbers are stored as texts: by value, with all digits."""
    number = as_type(_text_of(one.path[0]), Numeric)
    match one.operator:
        case Operator.IN:
            values = cast("Sequence[Any]", one.value)
            numbers = each_text([str(value) for value in values if value is not None])
            is_one = func.coalesce(number.in_(select(as_type(numbers, Numeric))), False)
            return or_(is_one, number.is_(None)) if None in values else is_one
        case Operator.NE:
            return ~func.coalesce(_is_same(number, one.value), False)
        case Operator.EQ:
            return func.coalesce(_is_same(number, one.value), False)
        case _:
            return func.coalesce(number.op(_COMPARED[one.operator], is_comparison=True)(_number(one.value)), False)


def _is_same(number: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    return number.is_(None) if value is None else number == _number(value)


def _number(value: Any) -> ColumnElement[Any]:
    return as_type(as_type(literal(str(value), Text), Text), Numeric)


def _text_of(name: str) -> ColumnElement[Any]:
    return data_rows.c.row.op("->>", return_type=Text())(literal(name, Text))
