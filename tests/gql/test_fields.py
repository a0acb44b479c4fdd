from __future__ import annotations

from typing import Any

import pytest
from strawberry.types import get_object_definition

from domain.identity import Permission
from gql.context import Context
from gql.fields import permission_of
from tests.support.probe import ProbeMutation, Sessions, Witness, probe_schema, probe_services, probe_settings

SETTINGS = probe_settings()
PROBE = "mutation ($input: ProbeInput!) {probe(input: $input) {text userErrors {__typename message code path ... on LimitError {limit actual}}}}"


async def probe(**given: object) -> Any:
    context = Context(probe_services(Sessions(), Witness(), SETTINGS))
    result = await probe_schema(SETTINGS).execute(PROBE, {"input": given}, context)
    assert not result.errors
    assert result.data is not None
    return result.data["probe"]


async def test_a_mutation_that_succeeds_has_no_user_errors() -> None:
    assert await probe(text="hello") == {"text": "hello", "userErrors": []}


async def test_what_a_caller_can_correct_is_data() -> None:
    assert await probe(text="limit") == {
        "text": None,
        "userErrors": [
            {
                "__typename": "LimitError",
                "message": "Too many things.",
                "code": "LIMIT_EXCEEDED",
                "path": ["input", "names"],
                "limit": 3.0,
                "actual": 4.0,
            }
        ],
    }
    assert (await probe(text="forbidden"))["userErrors"] == [
        {
            "__typename": "ForbiddenError",
            "message": "The caller may see this but not change it.",
            "code": "FORBIDDEN",
            "path": None,
        }
    ]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"text": "a\0b"}, ["input", "text"]),
        ({"text": "\ud83d"}, ["input", "text"]),
        ({"text": "a", "names": ["b", "\0"]}, ["input", "names", "1"]),
    ],
)
async def test_text_that_no_database_stores_is_the_callers_to_correct(
    given: dict[str, object], path: list[str]
) -> None:
    (error,) = (await probe(**given))["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", path)


def test_a_field_tells_the_permission_that_it_demands() -> None:
    definition = get_object_definition(ProbeMutation, strict=True)
    demanded = {field.python_name: permission_of(field) for field in definition.fields}
    assert demanded == {"probe": Permission.PUBLIC, "slow": Permission.WRITE}
