from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given

from domain.json_changes import MAX_CHANGES, ChangeKind, FieldChange, changes
from tests.domain.strategies import json_values


def written(value: Any) -> str:
    """The value as JSON, with the fields of objects in one order."""
    return json.dumps(value, sort_keys=True)


def applied(value: Any, found: list[FieldChange]) -> Any:
    """What becomes of a value; what leaves a list is told from the first on, so it is taken away from the last on."""
    result: Any = json.loads(json.dumps(value))
    removed = [change for change in found if change.kind is ChangeKind.REMOVED]
    for change in [*reversed(removed), *(change for change in found if change.kind is not ChangeKind.REMOVED)]:
        if not change.path:
            assert (change.kind, written(change.before)) == (ChangeKind.CHANGED, written(result))
            return change.after
        made(reached(result, change.path[:-1]), change)
    return result


def is_list(value: object) -> bool:
    return isinstance(value, list)


def made(place: Any, change: FieldChange) -> None:
    """Make a change in the object or list where it belongs."""
    name: Any = int(change.path[-1]) if is_list(place) else change.path[-1]
    is_there = name < len(place) if is_list(place) else name in place
    assert is_there == (change.kind is not ChangeKind.ADDED)
    if is_there:
        assert written(place[name]) == written(change.before)
    if change.kind is ChangeKind.REMOVED:
        del place[name]
    elif is_list(place) and not is_there:
        assert name == len(place)
        place.append(change.after)
    else:
        place[name] = change.after


def reached(value: Any, path: tuple[str, ...]) -> Any:
    """The part of a value to which a path leads."""
    for name in path:
        value = value[int(name)] if is_list(value) else value[name]
    return value


@given(json_values, json_values)
def test_the_changes_made_to_the_one_value_give_the_other(before: Any, after: Any) -> None:
    assert written(applied(before, changes(before, after))) == written(after)


@given(json_values)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert changes(value, deepcopy(value)) == []


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0), ("1", 1), (None, False), ([], {}), ({}, None)]
)
def test_values_that_python_takes_for_equal_or_that_are_alike_differ(one: Any, other: Any) -> None:
    assert changes({"a": one}, {"a": other}) == [FieldChange(ChangeKind.CHANGED, ("a",), one, other)]


def test_a_change_names_the_leaf_and_a_list_is_compared_place_by_place() -> None:
    before = {"fields": [{"name": "a", "value": 1}, {"name": "b", "value": [1]}], "gone": None}
    after = {"fields": [{"name": "a", "value": 2}], "new": {"x": 1}}
    assert changes(before, after) == [
        FieldChange(ChangeKind.CHANGED, ("fields", "0", "value"), 1, 2),
        FieldChange(ChangeKind.REMOVED, ("fields", "1"), {"name": "b", "value": [1]}, None),
        FieldChange(ChangeKind.REMOVED, ("gone",), None, None),
        FieldChange(ChangeKind.ADDED, ("new",), None, {"x": 1}),
    ]


def test_the_order_of_fields_does_not_count() -> None:
    assert changes({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []


@pytest.mark.parametrize("count", [MAX_CHANGES, MAX_CHANGES + 1])
def test_what_differs_in_more_places_than_are_listed_is_given_whole(count: int) -> None:
    before, after = {"many": list(range(count)), "one": 1}, {"many": [None] * count, "one": 1}
    found = changes(before, after)
    assert written(applied(before, found)) == written(after)
    if count == MAX_CHANGES:
        assert len(found) == MAX_CHANGES
    else:
        assert found == [FieldChange(ChangeKind.CHANGED, ("many",), before["many"], after["many"])]


def test_many_changes_in_two_parts_are_one_of_the_whole() -> None:
    before, after = {"a": [0] * 60, "b": [0] * 60}, {"a": [1] * 60, "b": [1] * 60}
    assert changes(before, after, ("x",)) == [FieldChange(ChangeKind.CHANGED, ("x",), before, after)]
