from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from gql.demo import operations
from gql.schema import schema_text

if TYPE_CHECKING:
    from collections.abc import Callable

DRAFT = Path(__file__).parents[3] / "docs/design/schema.graphql"


@cache
def designed_schema() -> GraphQLSchema:
    return build_schema(DRAFT.read_text())


@cache
def built_schema() -> GraphQLSchema:
    return build_schema(schema_text())


@pytest.mark.parametrize("schema", [designed_schema, built_schema])
@pytest.mark.parametrize("name", [name for name in vars(operations) if name.isupper() and not name.startswith("_")])
def test_every_document_of_the_demo_is_valid_against_the_schema_as_designed_and_as_built(
    name: str, schema: Callable[[], GraphQLSchema]
) -> None:
    document = getattr(operations, name)
    assert validate(schema(), parse(document)) == []
