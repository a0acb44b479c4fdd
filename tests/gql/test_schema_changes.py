"""The rules of docs/api-changes.md: nothing that clients rely on goes without a deprecation that says what to use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from graphql import DirectiveNode, Visitor, build_schema, parse, visit

from gql.schema import schema_text
from tests.support.schema_changes import BASELINE, breaking_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

REASON = re.compile(r"(?:Use `[^`]+`|Nothing replaces it)[^.]*\. Goes in \d+\.\d+\.")
BEFORE = """
type Query { cat: Cat, dog(name: String): Dog, old: Rat @deprecated(reason: "Use `cat` instead. Goes in 0.3.") }
type Cat { name: String!, age: Int, furs: [Fur!]! }
type Dog { name: String! }
type Rat { name: String! }
enum Fur { WHITE BLACK GREY @deprecated(reason: "Use `BLACK` instead. Goes in 0.3.") }
input CatInput { name: String!, age: Int @deprecated(reason: "Nothing replaces it. Goes in 0.3.") }
type Mutation { make(cat: CatInput!): Cat }
"""


def reasons(text: str) -> Iterator[str]:
    found: list[str] = []

    class Finder(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: object) -> None:
            if node.name.value == "deprecated":
                found.extend(getattr(argument.value, "value", "") for argument in node.arguments or ())

    visit(parse(text), Finder())
    yield from found


def test_nothing_that_is_relied_on_was_broken_without_a_deprecation() -> None:
    broken = breaking_changes(BASELINE.read_text(encoding="utf-8"), schema_text())
    assert broken == [], "Deprecate first, and take it away in a later version: docs/api-changes.md."


def test_every_deprecation_says_what_to_use_and_when_it_goes() -> None:
    assert [reason for reason in reasons(schema_text()) if not REASON.fullmatch(reason)] == []
    assert [REASON.fullmatch(reason) is not None for reason in reasons(BEFORE)] == [True, True, True]
    assert not REASON.fullmatch("No longer supported")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("cat: Cat,", ""),
        ("name: String): Dog", "name: String!): Dog"),
        ("age: Int,", "years: Int,"),
        ("furs: [Fur!]!", "furs: [Fur!]"),
        ("WHITE BLACK", "WHITE"),
        ("make(cat: CatInput!)", "make(cat: CatInput!, by: String!)"),
        ("input CatInput { name: String!", "input CatInput { name: String!, fur: Fur!"),
        ("dog(name: String)", "dog"),
    ],
)
def test_what_was_not_deprecated_cannot_go_or_become_stricter(was: str, now: str) -> None:
    assert was in BEFORE
    changed = BEFORE.replace(was, now)
    build_schema(changed)
    assert len(breaking_changes(BEFORE, changed)) == 1


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (', old: Rat @deprecated(reason: "Use `cat` instead. Goes in 0.3.")', ""),
        (' GREY @deprecated(reason: "Use `BLACK` instead. Goes in 0.3.")', ""),
        (', age: Int @deprecated(reason: "Nothing replaces it. Goes in 0.3.")', ""),
        ("type Dog {", "type Dog { age: Int,"),
        ("age: Int,", "age: Int!,"),
        ("make(cat: CatInput!)", "make(cat: CatInput!, by: String)"),
        ("WHITE BLACK", "WHITE BLACK RED"),
    ],
)
def test_what_was_deprecated_may_go_and_anything_may_be_added(was: str, now: str) -> None:
    assert was in BEFORE
    assert breaking_changes(BEFORE, BEFORE.replace(was, now)) == []


def test_a_type_that_only_deprecated_fields_led_to_goes_with_them() -> None:
    without = re.sub(r", old: Rat @deprecated\(.*?\"\)|type Rat \{.*?\}", "", BEFORE)
    assert "Rat" not in without
    assert breaking_changes(BEFORE, without) == []
    assert breaking_changes(BEFORE, without.replace("dog(name: String): Dog", "dog: Int").replace("Dog", "Hound")) != []
