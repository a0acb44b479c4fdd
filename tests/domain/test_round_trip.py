from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.document import dump, load
from domain.workflow import Definition
from tests.domain.made_configs import TEXTS, samples
from tests.domain.made_graphs import KINDS, definitions, definitions_with, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_GENERATE = (Phase.explicit, Phase.generate)
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def made() -> list[Definition]:
    """Random graphs; each kind is in some, whatever Hypothesis makes of the modules that happen to be loaded."""
    of_kinds = [one for kind in sorted(KINDS) for one in samples(definitions_with(kind), 4)]
    return [*of_kinds, *samples(definitions, 200)]


@given(name=lines, description=st.none() | TEXTS, definition=definitions)
@settings(max_examples=120, phases=_GENERATE, suppress_health_check=_SLOW, deadline=None)
def test_export_import_export_gives_the_same_bytes(name: str, description: str | None, definition: Definition) -> None:
    goes_round(name, description, definition)


def test_graphs_of_every_kind_and_policy_go_round(made: list[Definition]) -> None:
    for definition in made:
        goes_round("Name", None, definition)


def goes_round(name: str, description: str | None, definition: Definition) -> None:
    text = dump(name, "a-slug", description, definition)
    document = load(text, KINDS)
    assert repr(document.definition) == repr(definition)  # -0.0 is not 0.0, 1 not 1.0, and the order of keys is kept
    again = dump(document.name, document.slug, document.description, document.definition)
    assert again.encode() == text.encode()
    assert text.isascii() or all(line.isprintable() for line in text.splitlines())


def test_the_random_graphs_hold_every_kind_and_every_policy(made: list[Definition]) -> None:
    nodes = [node for definition in made for node in definition.graph.nodes]
    assert {node.kind for node in nodes} == set(KINDS)
    for policy in ("name", "when", "for_each", "position"):
        assert {getattr(node, policy) is None for node in nodes} == {True, False}, policy
    assert {edge.source_port for definition in made for edge in definition.graph.edges} >= {"out", "error"}


@given(definition=definitions, data=st.data())
@settings(max_examples=100, phases=_GENERATE, suppress_health_check=_SLOW, deadline=None)
def test_an_edit_of_one_field_changes_one_line(definition: Definition, data: st.DataObject) -> None:
    plain: dict[str, Any] = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    before = dump("Name", "slug", None, definition)
    leaves = list(_leaves(plain, ()))
    assume(leaves)
    path, value = data.draw(st.sampled_from(leaves))
    place = plain
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = data.draw(_edited(value))
    try:
        edited = Definition.model_validate(plain)
    except ValidationError:
        assume(False)  # a value out of its bounds is no edit
        return
    is_there = dict(_leaves(edited.model_dump(mode="json", by_alias=True, exclude_defaults=True), ()))
    assume(is_there.get(path) == place[path[-1]] != value and len(is_there) == len(leaves))
    after = dump("Name", "slug", None, edited)
    was, now = before.split("\n"), after.split("\n")
    assert len(was) == len(now)
    assert sum(old != new for old, new in zip(was, now, strict=True)) == 1


# Keys of nodes and names of outputs name more than one field; whether a kind is told is no value.
_NO_FIELDS = {"key", "source", "target", "sourcePort"}


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            if path[-1:] != ("edges",) and name not in _NO_FIELDS:
                yield from _leaves(item, (*path, name))
    elif isinstance(value, list):
        for place, item in enumerate(cast("list[Any]", value)):
            yield from _leaves(item, (*path, place))
    elif not (path[0] == "output" and path[-1] == "name" and len(path) == 3):
        yield path, value


def _edited(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same kind; of a text of several lines, with other words in one of them."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int | float):
        return st.integers(1, 10**6) | st.floats(-1e6, 1e6)
    if not isinstance(value, str):
        return st.booleans() | st.integers()
    if "\n" not in value:
        return TEXTS.filter(lambda text: "\n" not in text)
    parts = value.split("\n")
    filled = [place for place, line in enumerate(parts) if line.strip()]
    if not filled:
        return st.just(value)
    return st.sampled_from(filled).map(
        lambda place: "\n".join([*parts[:place], parts[place] + " and more: #1", *parts[place + 1 :]])
    )
