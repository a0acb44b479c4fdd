"""The direction of an order."""

from __future__ import annotations

from enum import StrEnum

from gql.enums import expose


class OrderDirection(StrEnum):
    """The direction of an order."""

    ASC = "ASC"
    DESC = "DESC"


expose(
    OrderDirection,
    description="The direction of an order.",
    values={
        OrderDirection.ASC: "Smallest, earliest or alphabetically first.",
        OrderDirection.DESC: "Largest, latest or alphabetically last.",
    },
)
