"""Conditions as SQL over a `jsonb` column; paths and values are bound, none becomes part of the statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

import orjson
from sqlalchemy import ColumnElement, Text, and_, any_, case, cast, false, func, literal, not_, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.filters import AllOf, AnyOf, Comparison, Not, Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.filters import Condition
    from domain.json_value import Json

_ORDERED: Final = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}


def where(condition: Condition, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the SQL of a condition on a `jsonb` column; it is true or false, never null."""
    match condition:
        case AllOf(conditions):
            return and_(true(), *(where(one, column) for one in conditions))
        case AnyOf(conditions):
            return or_(false(), *(where(one, column) for one in conditions))
        case Not(inner):
            return not_(where(inner, column))
        case Comparison(path, Operator.EQ, value) if not any(map(_is_place, path)):
            # Implied by the comparison, never null, and outside of `coalesce`: there an index serves it.
            return and_(column.op("@>")(_nested(path, value)), func.coalesce(_comparison(condition, column), False))
        case Comparison():
            return func.coalesce(_comparison(condition, column), False)
        case _:
            assert_never(condition)


def _comparison(one: Comparison, column: ColumnElement[Any]) -> ColumnElement[bool]:
    found = column.op("#>", return_type=JSONB())(_path(one.path))
    match one.operator:
        case Operator.EQ:
            return found == _json(one.value)
        case Operator.NE:
            return found.is_distinct_from(_json(one.value))
        case Operator.IN:
            values = one.value if isinstance(one.value, list) else []
            # One parameter: a statement takes no more than 32,767.
            packed = literal([orjson.dumps(value).decode() for value in values], ARRAY(Text))
            return found == any_(cast(packed, ARRAY(JSONB)))
        case Operator.EXISTS:
            exists = func.coalesce(found != _json(None), False)
            return exists if one.value else not_(exists)
        case Operator.CONTAINS:
            return _contains(one, found, column)
        case _:
            # Values of different types are ordered in `jsonb` too; here they do not compare.
            of_one_type = func.jsonb_typeof(found) == func.jsonb_typeof(_json(one.value))
            return and_(of_one_type, found.op(_ORDERED[one.operator])(_json(one.value)))


def _contains(one: Comparison, found: ColumnElement[Any], column: ColumnElement[Any]) -> ColumnElement[bool]:
    items = func.jsonb_array_elements(case((func.jsonb_typeof(found) == "array", found), else_=_json([]))).table_valued(
        "value"
    )
    has_item = select(literal(1)).select_from(items).where(items.c.value == _json(one.value)).exists()
    if not isinstance(one.value, str):
        return has_item
    text = column.op("#>>", return_type=Text())(_path(one.path))
    has_text = and_(func.jsonb_typeof(found) == "string", func.strpos(text, one.value) > 0)
    return or_(func.coalesce(has_text, False), has_item)


def each_text(texts: Sequence[str]) -> ColumnElement[str]:
    """Return a column of texts, to be compared with all at once."""
    return func.unnest(cast(literal(list(texts), ARRAY(Text)), ARRAY(Text)), type_=Text()).column_valued("given")


def _path(path: Sequence[str]) -> ColumnElement[Any]:
    return cast(literal(list(path), ARRAY(Text)), ARRAY(Text))


def _is_place(step: str) -> bool:
    """Whether a step may lead into a list, where it is a place and no name."""
    return step.strip().lstrip("+-").isdecimal()


def _json(value: Json) -> ColumnElement[Any]:
    return cast(literal(orjson.dumps(value).decode(), Text), JSONB)


def _nested(path: Sequence[str], value: Json) -> ColumnElement[Any]:
    nested = value
    for step in reversed(path):
        nested = {step: nested}
    return _json(nested)
