"""Conditions as clients write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry
from strawberry.scalars import JSON

from domain.filters import Operator, read_filter
from gql.absent import ABSENT

if TYPE_CHECKING:
    from domain.filters import Condition
    from domain.json_value import Json


@strawberry.input(
    description="A condition over metadata or columns: either one `path` with its operators, which must all hold, or a "
    "combination of conditions."
)
class FilterInput:
    """A condition over metadata or columns."""

    and_: list[FilterInput] | None = strawberry.field(default=ABSENT, name="and", description="All of these hold.")
    or_: list[FilterInput] | None = strawberry.field(
        default=ABSENT, name="or", description="At least one of these holds."
    )
    not_: FilterInput | None = strawberry.field(default=ABSENT, name="not", description="This does not hold.")
    path: str | None = strawberry.field(
        default=ABSENT,
        description="What is compared: a column, or a dotted path into metadata such as `source.year`.",
    )
    eq: JSON | None = strawberry.field(default=ABSENT, description="Equal to this value.")
    ne: JSON | None = strawberry.field(default=ABSENT, description="Different from this value, or absent.")
    in_: list[JSON] | None = strawberry.field(
        default=ABSENT, name="in", description="Equal to one of these values, 1,000 at most."
    )
    gt: JSON | None = strawberry.field(default=ABSENT, description="Greater than this number, text or instant.")
    gte: JSON | None = strawberry.field(default=ABSENT, description="Greater than or equal to this value.")
    lt: JSON | None = strawberry.field(default=ABSENT, description="Less than this value.")
    lte: JSON | None = strawberry.field(default=ABSENT, description="Less than or equal to this value.")
    exists: bool | None = strawberry.field(default=ABSENT, description="Whether the path is present and not null.")
    contains: JSON | None = strawberry.field(
        default=ABSENT, description="A text that contains this text, or a list that contains this value."
    )


def condition_of(given: FilterInput | None, *path: str) -> Condition | None:
    """Return the condition that a client sent as the argument at `path`; None for what was absent or null.

    Raises:
        InvalidInput, LimitExceeded: it is none, with the path of what is wrong.
    """
    return None if given is None or given is ABSENT else read_filter(_plain(given), path)


def _plain(given: FilterInput) -> Json:
    """Return the filter as it was sent: what is absent stays absent, null stays null."""
    parts: dict[str, Json] = {}
    for name, conditions in (("and", given.and_), ("or", given.or_)):
        if conditions is not ABSENT:
            parts[name] = None if conditions is None else [_plain(one) for one in conditions]
    if given.not_ is not ABSENT:
        parts["not"] = None if given.not_ is None else _plain(given.not_)
    if given.path is not ABSENT:
        parts["path"] = given.path
    for operator in Operator:
        value: Json = getattr(given, "in_" if operator is Operator.IN else operator.value)
        if value is not ABSENT:
            parts[operator.value] = value
    return parts
