"""Conditions as clients write them: the input `FilterInput`, which contains itself, and plain JSON of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

import strawberry
import strawberry.pydantic
from pydantic import BaseModel, ConfigDict, Field
from strawberry.scalars import JSON

from domain.filters import read_filter

if TYPE_CHECKING:
    from domain.filters import Condition
    from domain.json_value import Json


def _absent(name: str) -> Any:
    # A factory leaves the schema without a default: what is absent stays unset, and null is a value to compare with.
    return Field(default_factory=lambda: None, alias=name)


def _is(name: str, description: str) -> Any:
    return strawberry.field(name=name, description=description)


@strawberry.pydantic.input(
    description="A condition over metadata or columns: either one `path` with its operators, which must all hold, or a "
    "combination of conditions."
)
class FilterInput(BaseModel):
    """A condition over metadata or columns."""

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

    and_: Annotated[list[FilterInput] | None, _is("and", "All of these hold.")] = _absent("and")
    or_: Annotated[list[FilterInput] | None, _is("or", "At least one of these holds.")] = _absent("or")
    not_: Annotated[FilterInput | None, _is("not", "This does not hold.")] = _absent("not")
    path: Annotated[
        str | None, _is("path", "What is compared: a column, or a dotted path into metadata such as `source.year`.")
    ] = _absent("path")
    eq: Annotated[JSON | None, _is("eq", "Equal to this value.")] = _absent("eq")
    ne: Annotated[JSON | None, _is("ne", "Different from this value, or absent.")] = _absent("ne")
    in_: Annotated[list[JSON] | None, _is("in", "Equal to one of these values, 1,000 at most.")] = _absent("in")
    gt: Annotated[JSON | None, _is("gt", "Greater than this number, text or instant.")] = _absent("gt")
    gte: Annotated[JSON | None, _is("gte", "Greater than or equal to this value.")] = _absent("gte")
    lt: Annotated[JSON | None, _is("lt", "Less than this value.")] = _absent("lt")
    lte: Annotated[JSON | None, _is("lte", "Less than or equal to this value.")] = _absent("lte")
    exists: Annotated[bool | None, _is("exists", "Whether the path is present and not null.")] = _absent("exists")
    contains: Annotated[
        JSON | None, _is("contains", "A text that contains this text, or a list that contains this value.")
    ] = _absent("contains")


Filter: TypeAlias = FilterInput | None
"""An argument or field that may be absent."""


def condition_of(given: FilterInput | None, *path: str) -> Condition | None:
    """Return the condition that a client sent as the argument at `path`; None if none was given.

    Raises:
        InvalidInput, LimitExceeded: it is no condition, with the path of what is wrong.
    """
    return read_filter(plain_filter(given), path) if given else None


def plain_filter(given: FilterInput) -> Json:
    """Return a condition as it is stored and as files write it: what is absent is left out, null stays."""
    return cast("Json", given.model_dump(by_alias=True, exclude_unset=True))
