"""The table name → test: which test asks for each field and each argument of the schema.

Found by reading: the GraphQL documents in the strings of the tests are parsed, and their selections are resolved against the
schema. A test has the documents that stand in it, and those of the functions and constants that it names, its fixtures included.
What no document selects, `tests/gql/test_every_field.py` reads from seeded data; it fails for what it does not get there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphql import GraphQLInterfaceType, GraphQLObjectType, build_schema

from gql.schema import schema_text
from tests.gql.test_permissions import OF_ALL_TYPES, guarded
from tests.support.documents import documents_of_tests
from tests.support.selections import names_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLSchema

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "schema-tests.md"
SWEEP = "tests/gql/test_every_field.py::test_every_field_that_no_other_test_selects_is_answered"
MATRIX = "tests/gql/test_permissions.py::test_the_owner_of_everything_is_refused_nothing"
_HEAD = """# Which test asks for which name of the schema

Written by `make schema-table`; `tests/gql/test_schema_table.py` fails where it is out of date or a row is empty. Each field, and
each argument of a field, with the test that asks for the fewest names beside it.

| name | test |
| --- | --- |
"""


def names_of(schema: GraphQLSchema) -> list[str]:
    """Return every field, as `Type.field`, and every argument, as `Type.field(argument:)`, in order."""
    names: list[str] = []
    for kind in schema.type_map.values():
        if kind.name.startswith("__") or not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            continue
        for name, field in kind.fields.items():
            names.append(f"{kind.name}.{name}")
            names += [f"{kind.name}.{name}({argument}:)" for argument in field.args]
    return sorted(names)


def tests_by_name(schema: GraphQLSchema) -> Mapping[str, str]:
    """Return for each name the test that asks for it and for the fewest others; a name that none asks for is missing."""
    asked = {test: names_in(schema, documents) for test, documents in documents_of_tests(ROOT / "tests").items()}
    generated = [field.document() for field in guarded() if field.name not in OF_ALL_TYPES]
    asked[MATRIX] = asked.get(MATRIX, frozenset()) | names_in(schema, generated)
    found: dict[str, str] = {}
    # The last one wins, and that is the one with the fewest names.
    for test, names in sorted(asked.items(), key=lambda item: (-len(item[1]), item[0])):
        found |= dict.fromkeys(names, test)
    return found


def left_over(schema: GraphQLSchema) -> frozenset[str]:
    """Return the names that only the sweep over seeded data asks for."""
    return frozenset(names_of(schema)) - tests_by_name(schema).keys()


def table(schema: GraphQLSchema) -> str:
    """Return the text of the table."""
    found = tests_by_name(schema)
    rows = [f"| `{name}` | `{found.get(name, SWEEP)}` |" for name in names_of(schema)]
    return _HEAD + "\n".join(rows) + "\n"


def built_schema() -> GraphQLSchema:
    """Return the schema as clients see it."""
    return build_schema(schema_text())


if __name__ == "__main__":
    TABLE.write_text(table(built_schema()), encoding="utf-8")
