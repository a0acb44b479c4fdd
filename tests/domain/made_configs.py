"""Configurations made at random from nothing but the JSON Schemas that `nodeKinds` gives, as an editor would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.config_shapes import config_schema
from domain.configs import compile_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.kinds import NodeKind

ODD_TEXTS = st.sampled_from(
    [
        "", " ", " in front", "behind ", "two\nlines", "ends with one\n", "ends with two\n\n", "\nbegins with one",
        "  spaces\nin front", "a\n  b\n\nc", "a: b # c", "- a", "? a", "'", '"', 'both \' and "', "\\n", "yes", "No", "null", "~",
        "007", "1e3", "-0", "0x1F", "2026-11-22", "ünï", "日本語", "🦊", "a\u0085b", "a\u2028b", "a\u00a0b", "\ufeffa", "tab\there", "\r\n",
        "{{ input.question }}", "{{ input.a }} and {{ input.b }}\n{{ run.id }}", "{a: b}", "[a]", "|", ">-", "&a", "*a", "!a", "%a", "@a", "`a",
    ]
)  # fmt: skip
PLAIN_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{}%#"), max_size=12)
TEXTS = ODD_TEXTS | PLAIN_TEXTS
NUMBERS = st.sampled_from([0, -1, 2**53 + 1, 2**63, -(2**63), 0.1, -0.0, 1e-7, 1.5e300, 1e16, 123456789.125])
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)

# A schema does not tell that a text is an address, and hardly any other text is one.
_NAMED: dict[str, st.SearchStrategy[Any]] = {
    "assignees": st.lists(st.sampled_from(["ada@example.com", "{{ input.boss }}", " Bo@Example.com"]), max_size=3)
}


def configs(kind: NodeKind) -> st.SearchStrategy[dict[str, Any]]:
    """Sound configurations of a kind."""
    schema: Any = config_schema(kind)
    made = _value(schema, schema.get("$defs", {}))
    return made.filter(lambda values: not compile_config(kind, values).problems)


def configs_of(kind: NodeKind, count: int) -> list[dict[str, Any]]:
    """Return that many of them."""
    return samples(configs(kind), count)


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return values of a strategy, for tests that Hypothesis cannot drive; the same in each run."""
    found: list[Any] = []

    @settings(
        max_examples=count, phases=[Phase.generate], deadline=None, database=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    while len(found) < count:
        collect()
    return found[:count]


def _alone(name: str, made: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({name: made})


def _value(schema: dict[str, Any], known: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _value(known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        return st.one_of([_value(one, known) for one in schema["anyOf"]])
    if "enum" in schema:
        values: list[Any] = schema["enum"]
        return st.sampled_from(values)
    if schema.get("x-json") and "type" not in schema:
        return JSON_VALUES
    return _MAKERS[schema["type"]](schema, known)


def _object(schema: Any, known: dict[str, Any]) -> st.SearchStrategy[Any]:
    fields = {
        name: _NAMED[name] if name in _NAMED else _value(field, known) for name, field in schema["properties"].items()
    }
    if schema.get("maxProperties") == 1:
        return st.one_of([_alone(name, made) for name, made in fields.items()])
    needed = set(schema.get("required", ()))
    optional = {name: made for name, made in fields.items() if name not in needed}
    made: st.SearchStrategy[Any] = st.fixed_dictionaries({name: fields[name] for name in needed}, optional=optional)
    return made


def _text(schema: Any, _: Any) -> st.SearchStrategy[Any]:
    if "pattern" in schema:
        pattern: str = schema["pattern"].replace("$", r"\Z")
        return st.from_regex(pattern)
    least, most = schema.get("minLength", 0), schema.get("maxLength", 10**9)
    expression = st.sampled_from(["input.a == 1", 'input.b != "x"', "true"])
    return expression if schema.get("x-expression") else TEXTS.filter(lambda text: least <= len(text) <= most)


def _number(schema: Any, _: Any) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1)
    return st.integers(low, high) if schema["type"] == "integer" else st.floats(low, high, allow_nan=False)


def _array(schema: Any, known: dict[str, Any]) -> st.SearchStrategy[Any]:
    most = min(schema.get("maxItems", 3), 3)
    return st.lists(_value(schema["items"], known), min_size=schema.get("minItems", 0), max_size=most)


def _boolean(_: Any, __: Any) -> st.SearchStrategy[Any]:
    return st.booleans()


def _null(_: Any, __: Any) -> st.SearchStrategy[Any]:
    return st.none()


_MAKERS: dict[str, Callable[[Any, Any], st.SearchStrategy[Any]]] = {
    "object": _object,
    "array": _array,
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
}
