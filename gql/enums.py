"""Enums of the domain as GraphQL enums: the domain names the values, the API describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import strawberry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import Enum

    from strawberry.types.enum import StrawberryEnumDefinition

EnumT = TypeVar("EnumT", bound="Enum")


def expose(enum: type[EnumT], *, description: str, values: Mapping[EnumT, str], name: str | None = None) -> type[EnumT]:
    """Make an enum of the domain part of the schema, in place: fields are then annotated with the enum itself.

    Raises:
        ValueError: a value has no description.
    """
    missing = [value.name for value in enum if value not in values]
    if missing:
        raise ValueError(f"{enum.__name__} lacks descriptions of {', '.join(missing)}.")
    exposed: Any = strawberry.enum(enum, name=name, description=description)
    definition = cast("StrawberryEnumDefinition", exposed.__strawberry_definition__)
    for value in definition.values:
        value.description = values[enum[value.name]]
    return enum
