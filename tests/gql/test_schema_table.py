from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from graphql import GraphQLSchema, build_schema

from tests.support.documents import documents_of_tests
from tests.support.schema_table import SWEEP, TABLE, built_schema, names_of, table
from tests.support.selections import names_in

if TYPE_CHECKING:
    from pathlib import Path

SMALL = """
type Query { dog(name: String, age: Int): Dog, pets: [Pet!]! }
interface Pet { name: String! }
type Dog implements Pet { name: String!, barks: Boolean! }
"""
MODULE = '''
"""Selects nothing: { pets { name } } stands in a sentence."""
DOG = "query ($n: String) { dog(name: $n) { barks } }"
def helper(): return DOG
def test_by_a_helper(): helper()
def test_by_a_fixture(pets): pass
def pets(): return "{ pets { name } }"
def test_of_nothing(): return "Query.dog", "dog { name }"
'''


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return built_schema()


@pytest.fixture
def small() -> GraphQLSchema:
    return build_schema(SMALL)


def test_the_table_is_up_to_date_and_names_a_test_for_each_field_and_argument(schema: GraphQLSchema) -> None:
    text = table(schema)
    assert TABLE.read_text(encoding="utf-8") == text, "run `make schema-table`"
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    assert [name.strip(" `") for name, _ in rows] == names_of(schema)
    assert [name for name, test in rows if "::test_" not in test] == []
    assert sum(SWEEP in test for _, test in rows) < len(rows) / 2, "most names have a test of their own"


def test_names_are_fields_and_their_arguments(small: GraphQLSchema) -> None:
    assert names_of(small) == [
        "Dog.barks", "Dog.name", "Pet.name", "Query.dog", "Query.dog(age:)", "Query.dog(name:)", "Query.pets",
    ]  # fmt: skip


def test_a_selection_counts_for_the_type_that_it_is_made_of(small: GraphQLSchema) -> None:
    asked = names_in(small, ["{ pets { name ... on Dog { barks } } }", "fragment F on Dog { name }"])
    assert asked == {"Query.pets", "Pet.name", "Dog.barks", "Dog.name"}


def test_what_is_not_of_the_schema_counts_for_nothing(small: GraphQLSchema) -> None:
    assert names_in(small, ["{ pets { name meows } }", "{ broken", SMALL, "pets { name }"]) == frozenset()


def test_a_test_has_the_documents_of_what_it_names(tmp_path: Path, small: GraphQLSchema) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_dogs.py").write_text(MODULE)
    found = {test.partition("::")[2]: names_in(small, texts) for test, texts in documents_of_tests(folder).items()}
    assert found == {
        "test_by_a_helper": {"Query.dog", "Query.dog(name:)", "Dog.barks"},
        "test_by_a_fixture": {"Query.pets", "Pet.name"},
        "test_of_nothing": frozenset(),
    }
