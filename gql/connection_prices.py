"""What the models of a connection cost, as it is shown and as it is given."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from domain.connection_prices import NamedPrice
from domain.prices import ModelPrice as Price


@strawberry.type(description="What a model costs.")
class ModelPrice:
    """What a model costs."""

    model: str = strawberry.field(description="The model's name.")
    input_per_million: Decimal = strawberry.field(description="A million tokens sent.")
    output_per_million: Decimal = strawberry.field(description="A million tokens received.")
    currency: str = strawberry.field(description="ISO 4217 code.")

    @classmethod
    def of(cls, named: NamedPrice) -> ModelPrice:
        """Convert a price of the domain."""
        price = named.price
        return cls(
            model=named.model,
            input_per_million=price.input_per_million,
            output_per_million=price.output_per_million,
            currency=price.currency,
        )


@strawberry.input(description="What a model costs.")
class ModelPriceInput:
    """What a model costs."""

    model: str = strawberry.field(description="The model's name.")
    input_per_million: Decimal = strawberry.field(description="A million tokens sent.")
    output_per_million: Decimal = strawberry.field(description="A million tokens received.")
    currency: str = strawberry.field(default="USD", description="ISO 4217 code.")

    def read(self) -> NamedPrice:
        """Convert to a price of the domain."""
        return NamedPrice(self.model, Price(self.input_per_million, self.output_per_million, self.currency))
