"""What the models of one connection cost: prices with the names they stand for, and what is acceptable in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final

from domain.errors import InvalidFields, InvalidInput, LimitExceeded
from domain.prices import ModelPrice, PriceList
from domain.run import MIXED_CURRENCY
from domain.texts import check_line

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PRICES: Final = 200
PLACES: Final = 12
"""Digits of a price before the point, and as many behind it: costs are computed exactly."""
_MAX_NAME: Final = 200
_EXACT: Final = Context(prec=80)
"""More than any number that comes in has: one with too many digits is refused, not rounded."""
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class NamedPrice:
    """The price of a model, or of all models whose names begin so where the name ends with `*`."""

    model: str
    price: ModelPrice


def price_list(prices: Sequence[NamedPrice]) -> PriceList:
    """Return the prices as costs are computed by them."""
    return PriceList({named.model: named.price for named in prices})


def check_prices(prices: Sequence[NamedPrice], path: list[str]) -> tuple[NamedPrice, ...]:
    """Return the prices in their stored form.

    Raises:
        LimitExceeded: there are more than 200.
        InvalidFields: names, amounts or currencies that are not acceptable, each with its path.
    """
    if len(prices) > MAX_PRICES:
        message = f"A connection has at most {MAX_PRICES} prices; one whose model ends with `*` stands for many models."
        raise LimitExceeded(message, limit=MAX_PRICES, actual=len(prices), path=path)
    faults: list[InvalidInput] = []
    checked = [_checked(named, [*path, str(place)], faults) for place, named in enumerate(prices)]
    first: dict[str, int] = {}
    for place, named in enumerate(checked):
        if first.setdefault(named.model, place) != place:
            message = f"The model {named.model!r} has a price already, at place {first[named.model]}: name it once."
            faults.append(InvalidInput(message, path=[*path, str(place), "model"]))
    if faults:
        raise InvalidFields(faults)
    return tuple(checked)


def _checked(named: NamedPrice, path: list[str], faults: list[InvalidInput]) -> NamedPrice:
    """Return a price in its stored form; what is wrong with it is added to the faults."""
    price = named.price
    return NamedPrice(
        _name(named.model, [*path, "model"], faults),
        ModelPrice(
            _amount(price.input_per_million, [*path, "inputPerMillion"], faults),
            _amount(price.output_per_million, [*path, "outputPerMillion"], faults),
            _currency(price.currency, [*path, "currency"], faults),
        ),
    )


def _name(value: str, path: list[str], faults: list[InvalidInput]) -> str:
    try:
        return check_line(value, path, limit=_MAX_NAME)
    except InvalidInput as fault:
        faults.append(fault)
        return value


def _amount(value: Decimal, path: list[str], faults: list[InvalidInput]) -> Decimal:
    if value.is_zero():
        return Decimal(0)
    # The size comes first: numbers beyond it may have exponents that nothing can be computed with.
    if value.is_finite() and value > 0 and -PLACES <= value.adjusted() < PLACES:
        exact = _EXACT.normalize(value)
        if len(f"{exact:f}".partition(".")[2]) <= PLACES:
            return exact
    message = f"A price is a number from 0 on, with at most {PLACES} digits before the point and {PLACES} behind it."
    faults.append(InvalidInput(message, path=path))
    return value


def _currency(value: str, path: list[str], faults: list[InvalidInput]) -> str:
    if not _CURRENCY.fullmatch(value) or value == MIXED_CURRENCY:
        message = "A currency is named by the three capital letters of ISO 4217, such as USD."
        faults.append(InvalidInput(message, path=path))
    return value
