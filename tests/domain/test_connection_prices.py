from __future__ import annotations

from decimal import Decimal

import pytest

from domain.connection_prices import MAX_PRICES, NamedPrice, check_prices, price_list
from domain.errors import InvalidFields, LimitExceeded
from domain.prices import ModelPrice, PriceList

HERE = ["input", "prices"]


def named(model: str = "m", sent: str = "0.4", received: str = "1.2", currency: str = "USD") -> NamedPrice:
    return NamedPrice(model, ModelPrice(Decimal(sent), Decimal(received), currency))


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0.40", "0.4"),
        ("1e2", "100"),
        ("0E+999999999", "0"),
        ("-0.0", "0"),
        ("0.000000000001", "0.000000000001"),
        ("0.0000000000010", "0.000000000001"),
        ("999999999999.999999999999", "999999999999.999999999999"),
    ],
)
def test_prices_are_kept_exactly_and_in_one_form(given: str, stored: str) -> None:
    (price,) = check_prices([named(" m ", given, given)], HERE)
    assert price.model == "m"
    assert f"{price.price.input_per_million:f}" == f"{price.price.output_per_million:f}" == stored


@pytest.mark.parametrize(
    "given",
    [
        "-1",
        "NaN",
        "Infinity",
        "1e12",
        "1e-13",
        "0.1234567890123",
        "1E+999999999",
        "1E-999999999",
        "1." + "0" * 38 + "1",
    ],
)
def test_amounts_that_are_no_price_are_refused_and_not_rounded(given: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        check_prices([named(), named("n", received=given)], HERE)
    assert [fault.path for fault in caught.value.faults] == [[*HERE, "1", "outputPerMillion"]]


def test_everything_that_is_wrong_is_told_at_its_place() -> None:
    prices = [
        named(),
        named(""),
        named("n", currency="usd"),
        named("o", currency="XXX"),
        named(" m"),
        named("p\n\0", "-1"),
    ]
    with pytest.raises(InvalidFields) as caught:
        check_prices(prices, HERE)
    assert [(fault.path or [])[2:] for fault in caught.value.faults] == [
        ["1", "model"],
        ["2", "currency"],
        ["3", "currency"],
        ["5", "model"],
        ["5", "inputPerMillion"],
        ["4", "model"],
    ]
    assert "'m'" in caught.value.faults[-1].message


def test_there_are_at_most_200() -> None:
    many = [named(f"m{place}") for place in range(MAX_PRICES + 1)]
    assert len(check_prices(many[:-1], HERE)) == 200
    with pytest.raises(LimitExceeded) as caught:
        check_prices(many, HERE)
    assert (caught.value.limit, caught.value.actual, caught.value.path) == (200, 201, HERE)


def test_what_has_no_price_here_is_looked_up_elsewhere() -> None:
    own, other = named("a*"), named("b", "7")
    elsewhere = PriceList({"ab": other.price, "b": other.price})
    prices = PriceList(price_list([own]).prices, otherwise=elsewhere)
    assert (prices.find("ab"), prices.find("b"), prices.find("c")) == (own.price, other.price, None)
    assert prices.find("b", "a1") == own.price, "for either name the nearer list comes first"
