from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.configs import compile_config
from domain.errors import NodeFault
from domain.ids import Prefix, from_global
from runtime.nodes.faiss_search import KIND
from tests.support.collections import Library, open_library
from tests.support.local_embedder import vectors
from tests.support.node_context import RecordingContext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

CAT_VECTOR = list(vectors("a small cat")[0])
SCOPE: dict[str, Any] = {"input": {"q": "a small cat", "vector": CAT_VECTOR, "least": 30, "keys": ["bread", "dates"]}}


@pytest.fixture
async def library(database_url: str, data_dir: Path) -> AsyncGenerator[Library]:
    async with open_library(database_url, data_dir) as library:
        await library.fill(await library.make())
        yield library


def context(library: Library) -> RecordingContext:
    workspace = next(iter(library.owner.roles))
    return RecordingContext(stored=library.services.engine.services.collections(workspace))


async def matches(library: Library, **values: Any) -> Any:
    config = compile_config(KIND, {"collection": "library", **values})
    assert config.problems == ()
    result = await KIND.run(config.render(SCOPE), context(library))
    output: Any = result.output
    assert (result.ports, list(output)) == (("out",), ["matches"])
    return output["matches"]


async def fault_of(library: Library, **values: Any) -> NodeFault:
    with pytest.raises(NodeFault) as caught:
        await matches(library, **values)
    assert caught.value.code in {code.code for code in KIND.error_codes}
    return caught.value


def keys(found: Any) -> list[str]:
    return [match["metadata"]["key"] for match in found]


async def test_the_nearest_pieces_come_first_with_all_that_is_known_of_them(library: Library) -> None:
    found = await matches(library, searchText="{{ input.q }}", topK=2)
    assert len(found) == 2
    best = found[0]
    assert list(best) == ["documentId", "chunkId", "text", "score", "metadata"]
    assert best["text"] == "A kitten sleeps in the sun."
    assert best["metadata"] == {"key": "cat", "length": 27}
    assert 1 >= best["score"] > found[1]["score"]
    assert from_global(Prefix.DOCUMENT, best["documentId"])
    assert from_global(Prefix.CHUNK, best["chunkId"])


async def test_a_vector_finds_what_its_text_finds(library: Library) -> None:
    assert keys(await matches(library, searchVector="{{ input.vector }}"))[0] == "cat"
    # With both, the vector says what is near; the words are for modes that look for words.
    both = await matches(library, searchText="bread", searchVector="{{ input.vector }}")
    assert keys(both)[0] == "cat"


async def test_a_filter_with_templates_is_applied_before_the_search(library: Library) -> None:
    longer = await matches(library, searchText="cat", filter={"path": "length", "gt": "{{ input.least }}"})
    assert sorted(keys(longer)) == ["bread", "dates"]
    listed = await matches(library, searchText="cat", topK=1, filter={"path": "key", "in": "{{ input.keys }}"})
    assert set(keys(listed)) <= {"bread", "dates"}
    assert len(listed) == 1


async def test_matches_below_the_threshold_are_left_out(library: Library) -> None:
    found = await matches(library, searchText="a kitten that sleeps", scoreThreshold=0.5)
    assert keys(found) == ["cat"]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"collection": "gone", "searchText": "x"}, "COLLECTION_NOT_FOUND"),
        ({"searchText": " {{ '' }} "}, "INVALID_QUERY"),
        ({"searchVector": "{{ [1, 2, 3] }}"}, "INVALID_VECTOR"),
        ({"searchVector": "{{ input.q }}"}, "INVALID_VECTOR"),
        ({"searchVector": "[1e39, 0]"}, "INVALID_VECTOR"),
        ({"searchVector": "[1e30, 0]"}, "INVALID_VECTOR"),
        ({"searchVector": "[0, -1e16]"}, "INVALID_VECTOR"),
        ({"searchVector": "{{ ['a'] }}"}, "INVALID_VECTOR"),
        ({"searchVector": "[NaN]"}, "INVALID_VECTOR"),
        ({"searchVector": "[true]"}, "INVALID_VECTOR"),
        ({"searchText": "x", "filter": {"path": "a", "in": "{{ input.q }}"}}, "INVALID_FILTER"),
        ({"searchText": "x", "filter": {"path": "a", "gt": "{{ none }}"}}, "INVALID_FILTER"),
    ],
)
async def test_what_cannot_be_searched_for_fails_by_its_code(
    library: Library, values: dict[str, Any], code: str
) -> None:
    fault = await fault_of(library, **values)
    assert (fault.code, fault.is_retryable) == (code, False)


async def test_a_vector_of_another_length_is_told_both_lengths(library: Library) -> None:
    fault = await fault_of(library, searchVector="{{ [1, 2, 3] }}")
    assert "has 3 numbers, those of the collection 'library' have 384" in fault.message


def problems(**values: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(problem.code, problem.path) for problem in compile_config(KIND, {"collection": "c", **values}).problems]


def test_what_is_not_there_yet_is_told_when_the_graph_is_saved() -> None:
    assert problems(searchText="x", searchMode="HYBRID") == [("NOT_SUPPORTED", ("searchMode",))]
    assert problems(searchText="x", searchMode="KEYWORD") == [("NOT_SUPPORTED", ("searchMode",))]
    assert problems() == [("INVALID_CONFIG", ())]
    assert problems(searchText="x", topK=101) == [("INVALID_CONFIG", ("topK",))]
