from __future__ import annotations

from typing import Any

import pytest
import strawberry

from domain.errors import CursorInvalid, InvalidInput
from domain.ports.paging import PageRequest
from gql.context import Context
from gql.paging import page_request
from tests.support.probe import Sessions, Witness, probe_schema, probe_services, probe_settings

SETTINGS = probe_settings()


async def things(selection: str, witness: Witness | None = None) -> Any:
    context = Context(probe_services(Sessions(), witness or Witness(), SETTINGS))
    result = await probe_schema(SETTINGS).execute(f"{{things(first: 2) {{{selection}}}}}", None, context)
    assert not result.errors
    assert result.data is not None
    return result.data["things"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, PageRequest(20)),
        ({"first": None, "last": strawberry.UNSET}, PageRequest(20)),
        ({"first": 1}, PageRequest(1)),
        ({"first": 100, "after": "c"}, PageRequest(100, after="c")),
        ({"last": 3}, PageRequest(3, is_backward=True)),
        ({"last": 3, "before": "c"}, PageRequest(3, before="c", is_backward=True)),
        ({"after": "a", "before": "b"}, PageRequest(20, after="a", before="b")),
        ({"after": ""}, PageRequest(20)),
    ],
)
def test_the_four_arguments_say_which_part_is_wanted(arguments: dict[str, Any], expected: PageRequest) -> None:
    assert page_request(**arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"first": 1, "last": 1}, "last"),
        ({"first": 0}, "first"),
        ({"first": -1}, "first"),
        ({"first": 101}, "first"),
        ({"last": 0}, "last"),
        ({"last": 101}, "last"),
    ],
)
def test_sizes_out_of_range_and_both_directions_at_once_are_refused(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        page_request(**arguments)
    assert refused.value.path == [path]


@pytest.mark.parametrize("arguments", [{"after": "é"}, {"before": "x" * 5_000}])
def test_a_cursor_that_no_server_gave_out_is_invalid(arguments: dict[str, Any]) -> None:
    with pytest.raises(CursorInvalid):
        page_request(**arguments)


async def test_a_page_has_its_items_with_and_without_cursors_and_its_place() -> None:
    selection = "edges {cursor node {name}} nodes {name} pageInfo {hasNextPage hasPreviousPage startCursor endCursor}"
    assert await things(selection) == {
        "edges": [{"cursor": "a", "node": {"name": "a"}}, {"cursor": "b", "node": {"name": "b"}}],
        "nodes": [{"name": "a"}, {"name": "b"}],
        "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, "startCursor": "a", "endCursor": "b"},
    }


async def test_the_total_is_counted_only_if_it_is_selected() -> None:
    witness = Witness()
    await things("nodes {name}", witness)
    assert witness.counted == 0
    assert await things("totalCount", witness) == {"totalCount": 3}
    assert witness.counted == 1
