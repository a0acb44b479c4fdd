from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.errors import InvalidInput, LimitExceeded
from domain.filters import AllOf, AnyOf, Comparison, Not, Operator, fields_named, read_filter

if TYPE_CHECKING:
    from domain.json_value import Json


def test_a_path_with_one_operator_is_one_comparison() -> None:
    assert read_filter({"path": "source.year", "gte": 2020}) == Comparison(("source", "year"), Operator.GTE, 2020)


def test_several_operators_on_a_path_must_all_hold() -> None:
    found = read_filter({"path": "n", "gt": 1, "lt": 5})
    assert found == AllOf((Comparison(("n",), Operator.GT, 1), Comparison(("n",), Operator.LT, 5)))


def test_combinations_nest() -> None:
    found = read_filter({"or": [{"path": "lang", "eq": "en"}, {"not": {"path": "lang", "exists": True}}]})
    inner = Comparison(("lang",), Operator.EXISTS, value=True)
    assert found == AnyOf((Comparison(("lang",), Operator.EQ, "en"), Not(inner)))
    assert fields_named(found) == {("lang",)}


def test_comparing_with_null_is_a_comparison() -> None:
    assert read_filter({"path": "a", "eq": None}) == Comparison(("a",), Operator.EQ, None)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ([], ["input"]),
        ({}, ["input"]),
        ({"eq": 1}, ["input"]),
        ({"path": "a"}, ["input"]),
        ({"path": "a", "eq": 1, "and": []}, ["input"]),
        ({"and": [], "or": []}, ["input"]),
        ({"and": [{"path": "a", "eq": 1}, 7]}, ["input", "and", "1"]),
        ({"not": {"path": "a", "in": 3}}, ["input", "not", "in"]),
        ({"path": "a", "exists": 1}, ["input", "exists"]),
        ({"path": "a", "gt": True}, ["input", "gt"]),
        ({"path": "a", "gt": [1]}, ["input", "gt"]),
        ({"path": "a", "contains": None}, ["input", "contains"]),
        ({"path": "", "eq": 1}, ["input", "path"]),
        ({"path": "a..b", "eq": 1}, ["input", "path"]),
        ({"path": "a\0", "eq": 1}, ["input", "path"]),
        ({"path": ".".join("a" * 17), "eq": 1}, ["input", "path"]),
        ({"path": "a", "like": 1}, ["input", "like"]),
    ],
)
def test_what_is_no_condition_is_refused_by_its_place(raw: Json, path: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_filter(raw, ["input"])
    assert caught.value.path == path


def test_too_many_too_deep_and_too_long_are_refused_by_their_limit() -> None:
    deep: Json = {"path": "a", "eq": 1}
    for _ in range(17):
        deep = {"not": deep}
    many: Json = {"and": [{"path": "a", "eq": 1}] * 201}
    long: Json = {"path": "a", "in": list(range(1_001))}
    for raw, limit in ((deep, 16), (many, 200), (long, 1_000)):
        with pytest.raises(LimitExceeded) as caught:
            read_filter(raw)
        assert caught.value.limit == limit
