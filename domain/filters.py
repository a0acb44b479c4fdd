"""Conditions over metadata or columns, as `FilterInput` writes them: read, checked and made into a small tree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from domain.errors import InvalidInput, LimitExceeded, NodeFault
from domain.json_codec import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.json_value import Json

MAX_CONDITIONS: Final = 200
MAX_DEPTH: Final = 16
MAX_VALUES: Final = 1_000
MAX_STEPS: Final = 16
_STEP: Final = re.compile("[^\x00\ud800-\udfff.]{1,128}")


class Operator(StrEnum):
    """How what stands at a path is compared, by the names of `FilterInput`."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EXISTS = "exists"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator on what stands at a path; `value` is a list for IN and a bool for EXISTS."""

    path: tuple[str, ...]
    operator: Operator
    value: Json


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these hold; true without any."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these holds; false without any."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    condition: Condition


Condition: TypeAlias = "Comparison | AllOf | AnyOf | Not"


def chooses(condition: Condition) -> bool:
    """Whether a condition compares anything: one that does not, such as `{"and": []}`, holds for all or for none."""
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return bool(conditions) and all(chooses(one) for one in conditions)
        case Not(inner):
            return chooses(inner)
        case Comparison():
            return True


def compared(condition: Condition) -> frozenset[str]:
    """Return the first steps of all paths that a condition compares."""
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return frozenset[str]().union(*map(compared, conditions))
        case Not(inner):
            return compared(inner)
        case Comparison(path):
            return frozenset(path[:1])


_COMBINATIONS: Final = ("and", "or", "not")
_FIELDS: Final = (*_COMBINATIONS, "path", *(operator.value for operator in Operator))
_ORDERED: Final = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})


def read_filter(raw: Json, path: Sequence[str] = ()) -> Condition:
    """Return the condition that `FilterInput` writes: either a path with operators, or one combination.

    Args:
        raw: the object as it was sent; an operator whose key is there with null compares with null.
        path: where it stands among the caller's arguments, for the error.

    Raises:
        InvalidInput: no such object, with the path of what is wrong.
        LimitExceeded: more than 200 conditions, 1,000 values of one `in`, or a nesting deeper than 16.
    """
    return _Reader().read(raw, tuple(path), 1)


def fields_named(condition: Condition) -> frozenset[tuple[str, ...]]:
    """Return the paths that a condition compares."""
    match condition:
        case Comparison(path):
            return frozenset({path})
        case AllOf(conditions) | AnyOf(conditions):
            return frozenset(path for one in conditions for path in fields_named(one))
        case Not(inner):
            return fields_named(inner)


class _Reader:
    def __init__(self) -> None:
        self._count = 0

    def read(self, raw: Json, path: tuple[str, ...], depth: int) -> Condition:
        self._count += 1
        if self._count > MAX_CONDITIONS:
            message = f"A filter has at most {MAX_CONDITIONS} conditions."
            raise LimitExceeded(message, limit=MAX_CONDITIONS, path=path)
        if depth > MAX_DEPTH:
            raise LimitExceeded(f"A filter is nested at most {MAX_DEPTH} deep.", limit=MAX_DEPTH, path=path)
        if not isinstance(raw, dict):
            raise InvalidInput("A condition is an object.", path=path)
        given = cast("Mapping[str, Json]", raw)
        unknown = next((name for name in given if name not in _FIELDS), None)
        if unknown is not None:
            raise InvalidInput(f"A condition has no field {unknown[:80]!r}.", path=(*path, unknown[:80]))
        combination = [name for name in _COMBINATIONS if given.get(name) is not None]
        if "path" in given and given["path"] is not None:
            if combination:
                raise InvalidInput("Give either `path` with operators or one of `and`, `or`, `not`.", path=path)
            return self._comparisons(given, path)
        if len(combination) != 1 or any(operator.value in given for operator in Operator):
            raise InvalidInput("Give either `path` with operators or one of `and`, `or`, `not`.", path=path)
        return self._combination(combination[0], given[combination[0]], path, depth)

    def _combination(self, name: str, inner: Json, path: tuple[str, ...], depth: int) -> Condition:
        if name == "not":
            return Not(self.read(inner, (*path, "not"), depth + 1))
        if not isinstance(inner, list):
            raise InvalidInput(f"`{name}` is a list of conditions.", path=(*path, name))
        parts = tuple(self.read(one, (*path, name, str(place)), depth + 1) for place, one in enumerate(inner))
        return AllOf(parts) if name == "and" else AnyOf(parts)

    def _comparisons(self, given: Mapping[str, Json], path: tuple[str, ...]) -> Condition:
        steps = _steps(given["path"], (*path, "path"))
        operators = [operator for operator in Operator if operator.value in given]
        if not operators:
            raise InvalidInput("A `path` needs an operator beside it, such as `eq`.", path=path)
        found = [
            Comparison(steps, operator, _checked(operator, given[operator.value], (*path, operator.value)))
            for operator in operators
        ]
        return found[0] if len(found) == 1 else AllOf(tuple(found))


def _steps(raw: Json, path: tuple[str, ...]) -> tuple[str, ...]:
    steps = tuple(raw.split(".")) if isinstance(raw, str) else ()
    if not steps or len(steps) > MAX_STEPS or not all(_STEP.fullmatch(step) for step in steps):
        message = f"A path is up to {MAX_STEPS} names with dots between them, such as `source.year`."
        raise InvalidInput(message, path=path)
    return steps


def _checked(operator: Operator, value: Json, path: tuple[str, ...]) -> Json:
    try:
        encode(value)
    except NodeFault as fault:
        raise InvalidInput(f"Nothing can be compared with this value: {fault.message}", path=path) from None
    if operator is Operator.IN:
        if not isinstance(value, list):
            raise InvalidInput("`in` takes a list of values.", path=path)
        if len(value) > MAX_VALUES:
            message = f"`in` takes at most {MAX_VALUES:,} values."
            raise LimitExceeded(message, limit=MAX_VALUES, actual=len(value), path=path)
    elif operator is Operator.EXISTS:
        if not isinstance(value, bool):
            raise InvalidInput("`exists` is true or false.", path=path)
    elif operator in _ORDERED and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        raise InvalidInput(f"`{operator.value}` compares with a number, a text or an instant.", path=path)
    elif operator is Operator.CONTAINS and value is None:
        raise InvalidInput("`contains` takes a value.", path=path)
    return value
