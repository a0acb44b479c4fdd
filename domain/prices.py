"""What models cost: prices by name, and the exact cost of what a call has used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.run import Usage

_REST: Final = "*"
_EXACT: Final = Context(prec=80)
"""Enough for every product of a count and a price: costs are never rounded."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a million tokens cost."""

    input_per_million: Decimal
    output_per_million: Decimal
    currency: str

    def cost_of(self, usage: Usage) -> Usage:
        """Return the usage with its cost."""
        sent = _EXACT.multiply(Decimal(usage.input_tokens), self.input_per_million)
        received = _EXACT.multiply(Decimal(usage.output_tokens), self.output_per_million)
        cost = _EXACT.scaleb(_EXACT.add(sent, received), -6).normalize(_EXACT)
        return replace(usage, cost=cost, currency=self.currency)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by the name of the model; a name that ends with `*` stands for all that begin so."""

    prices: Mapping[str, ModelPrice] = field(default_factory=dict[str, ModelPrice])
    otherwise: PriceList | None = None
    """Where models are looked up that have no price here."""

    def find(self, *names: str) -> ModelPrice | None:
        """Return the price of the first of the names that has one: its own, else that of the longest beginning."""
        for name in names:
            if name in self.prices:
                return self.prices[name]
            fitting = [key for key in self.prices if key.endswith(_REST) and name.startswith(key[:-1])]
            if fitting:
                return self.prices[max(fitting, key=len)]
        return None if self.otherwise is None else self.otherwise.find(*names)


NO_PRICES: Final = PriceList()
