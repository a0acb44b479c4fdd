"""What JSON can hold, as a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JsonScalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "JsonScalar | Sequence[Json] | Mapping[str, Json]"
JsonObject: TypeAlias = "Mapping[str, Json]"
