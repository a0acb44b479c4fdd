from __future__ import annotations

from decimal import Decimal

import pytest

from domain.prices import ModelPrice, PriceList
from domain.run import MIXED_CURRENCY, Usage

DEAR = ModelPrice(Decimal(100), Decimal(200), "USD")
CHEAP = ModelPrice(Decimal("0.000000000001"), Decimal(0), "USD")
FAIR = ModelPrice(Decimal("0.4"), Decimal("1.2"), "USD")
PRICES = PriceList({"qwen-plus": FAIR, "qwen-*": CHEAP, "qwen-max-*": DEAR})


@pytest.mark.parametrize(
    ("names", "price"),
    [
        (("qwen-plus",), FAIR),
        (("qwen-plus-2026",), CHEAP),
        (("qwen-max-2026",), DEAR),
        (("qwen-max",), CHEAP),
        (("other",), None),
        (("",), None),
        (("other", "qwen-plus"), FAIR),
        (("qwen-max-1", "qwen-plus"), DEAR),
    ],
)
def test_a_price_is_found_by_the_name_itself_else_by_its_longest_beginning(
    names: tuple[str, ...], price: ModelPrice | None
) -> None:
    assert PRICES.find(*names) == price


def test_a_cost_is_exact_however_small_or_large_it_is() -> None:
    assert FAIR.cost_of(Usage(7, 2, 9)) == Usage(7, 2, 9, Decimal("0.0000052"), "USD")
    assert CHEAP.cost_of(Usage(1, 10**9, 1)).cost == Decimal(1).scaleb(-18)
    vast = ModelPrice(Decimal("999999999999.999999999999"), Decimal(1), "USD").cost_of(Usage(2**62, 1, 2**62))
    assert str(vast.cost) == "4611686018427387903999995.388314981572612096"


def test_costs_of_different_currencies_are_not_added_up() -> None:
    one = Usage(1, 1, 2, Decimal(1), "USD")
    assert one + Usage(1, 0, 1, Decimal("0.5"), "USD") == Usage(2, 1, 3, Decimal("1.5"), "USD")
    assert one + Usage(1, 0, 1) == Usage(1, 0, 1) + one == Usage(2, 1, 3, Decimal(1), "USD"), "what is known is shown"
    mixed = one + Usage(1, 0, 1, Decimal(7), "CNY")
    assert mixed == Usage(2, 1, 3, None, MIXED_CURRENCY)
    assert mixed + one == one + mixed == Usage(3, 2, 5, None, MIXED_CURRENCY), "it never becomes a sum again"
    assert mixed + Usage(1, 0, 1) == Usage(3, 1, 4, None, MIXED_CURRENCY)
