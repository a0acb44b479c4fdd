from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.filters import AllOf, AnyOf, Comparison, Not, Operator
from gql.filters import FilterInput, condition_of

ONE: Any = 1
NONE: Any = None
TWO: Any = 2


def test_what_is_absent_is_not_what_is_null() -> None:
    assert condition_of(FilterInput(path="a", eq=None)) == Comparison(("a",), Operator.EQ, None)
    with pytest.raises(InvalidInput, match="needs an operator"):
        condition_of(FilterInput(path="a"))
    assert condition_of(None) is None


def test_conditions_are_combined_as_deep_as_they_are_written() -> None:
    given = FilterInput(
        and_=[
            FilterInput(or_=[FilterInput(path="a.b", in_=[ONE, NONE]), FilterInput(path="c", exists=False)]),
            FilterInput(not_=FilterInput(path="d", gt=ONE, lte=TWO)),
        ]
    )
    assert condition_of(given) == AllOf(
        (
            AnyOf(
                (
                    Comparison(("a", "b"), Operator.IN, [1, None]),
                    Comparison(("c",), Operator.EXISTS, False),
                )
            ),
            Not(AllOf((Comparison(("d",), Operator.GT, 1), Comparison(("d",), Operator.LTE, 2)))),
        )
    )


def test_what_is_wrong_is_told_by_its_place() -> None:
    given = FilterInput(and_=[FilterInput(path="a", eq=ONE), FilterInput(not_=FilterInput(path="b", in_=None))])
    with pytest.raises(InvalidInput) as caught:
        condition_of(given, "filter")
    assert caught.value.path == ["filter", "and", "1", "not", "in"]
