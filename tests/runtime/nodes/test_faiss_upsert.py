from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from domain.configs import compile_config
from domain.errors import NodeFault
from domain.ids import Prefix, to_global
from runtime.nodes.faiss_upsert import KIND
from tests.runtime.nodes.test_faiss_search import context
from tests.support.collections import Library, open_library

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.collections import Collection
    from tests.support.node_context import RecordingContext

SCOPE: dict[str, Any] = {
    "input": {
        "key": "k1",
        "text": "Rivers run to the sea.",
        "huge": "x" * 1_048_577,
        "docs": [
            {"externalId": "a", "text": "First text.", "metadata": {"n": 1}},
            {"text": "Second text."},
            {"externalId": "long", "text": "One sentence of many. " * 100, "metadata": None},
        ],
    }
}


@pytest.fixture
async def library(database_url: str, data_dir: Path) -> AsyncGenerator[Library]:
    async with open_library(database_url, data_dir) as library:
        yield library


@pytest.fixture
async def collection(library: Library) -> Collection:
    return await library.make()


async def write(library: Library, ctx: RecordingContext | None = None, **values: Any) -> Any:
    config = compile_config(KIND, {"collection": "library", **values})
    assert config.problems == ()
    return (await KIND.run(config.render(SCOPE), ctx or context(library))).output


async def stored(library: Library, collection: Collection) -> tuple[int, int]:
    stats = await library.services.collections.stats([collection.id])
    return stats[collection.id].documents, stats[collection.id].chunks


async def test_a_list_of_documents_is_written_in_its_order(library: Library, collection: Collection) -> None:
    ctx = context(library)
    output = await write(library, ctx, documents="{{ input.docs }}")
    assert list(output) == ["documentIds", "chunks"]
    assert len(output["documentIds"]) == 3
    documents, chunks = await stored(library, collection)
    assert (documents, chunks) == (3, output["chunks"])
    assert chunks > 3
    assert ctx.moves > 0
    first = await library.services.documents.find_by_key(collection, "a")
    assert first is not None
    assert output["documentIds"][0] == to_global(Prefix.DOCUMENT, first.id)
    assert (first.text, first.metadata) == ("First text.", {"n": 1})


async def test_doing_it_twice_writes_once(library: Library, collection: Collection) -> None:
    first = await write(library, documents="{{ input.docs }}")
    before = await stored(library, collection)
    ctx = context(library)
    assert await write(library, ctx, documents="{{ input.docs }}") == first
    assert await stored(library, collection) == before
    assert ctx.moves == 0  # nothing was embedded again


async def test_a_key_that_comes_twice_counts_once(library: Library, collection: Collection) -> None:
    docs: list[dict[str, str]] = [
        {"externalId": "k", "text": "An earlier text."},
        {"externalId": "k", "text": "A later text."},
    ]
    output = await write(library, documents=orjson.dumps(docs).decode())
    documents, chunks = await stored(library, collection)
    assert (documents, chunks) == (1, output["chunks"])


async def test_one_text_is_written_with_its_key_and_metadata(library: Library, collection: Collection) -> None:
    metadata = {"of": ["{{ input.key }}"]}
    output = await write(library, text="{{ input.text }}", externalId="{{ input.key }}", metadata=metadata)
    assert (len(output["documentIds"]), output["chunks"]) == (1, 1)
    found = await library.services.documents.find_by_key(collection, "k1")
    assert found is not None
    assert (found.text, found.metadata) == ("Rivers run to the sea.", {"of": ["k1"]})


async def test_without_a_key_the_text_is_the_key(library: Library, collection: Collection) -> None:
    first = await write(library, text="{{ input.text }}")
    second = await write(library, text="{{ input.text }}", metadata={"n": 2})
    assert first["documentIds"] == second["documentIds"]
    assert await stored(library, collection) == (1, 1)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"text": "{{ '  ' }}"}, "text: The text is empty."),
        ({"text": "{{ input.huge }}"}, "text: A text has at most 1,048,576 bytes; this one has 1,048,577."),
        ({"text": "x", "metadata": ["a"]}, "metadata: Metadata is an object"),
        ({"text": "x", "externalId": "{{ '' }}"}, "externalId: A key is not empty"),
        ({"documents": "{{ input.text }}"}, "gives no list of documents"),
        ({"documents": "{{ [1] }}"}, "documents.0: A document is an object with a `text`."),
        ({"documents": "{{ [{'text': 'a'}, {'txt': 'b'}] }}"}, "documents.1: A document has no field 'txt'."),
        ({"documents": "{{ [{'text': 'a'}, {'externalId': 'b'}] }}"}, "documents.1.text: A document has a text."),
        ({"documents": "{{ [{'text': 'a'}, {'text': ''}] }}"}, "documents.1.text: The text is empty."),
        ({"documents": "{{ [{'text': 'a', 'externalId': 5}] }}"}, "documents.0.externalId: A key is a text."),
        ({"documents": "{{ range(1001) | list }}"}, "gives 1,001 documents, 1,000 are the most."),
    ],
)
async def test_nothing_is_written_of_what_cannot_be_stored_as_a_whole(
    library: Library, collection: Collection, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(NodeFault) as caught:
        await write(library, **values)
    assert (caught.value.code, caught.value.is_retryable) == ("INVALID_DOCUMENTS", False)
    assert told in caught.value.message
    assert await stored(library, collection) == (0, 0)


async def test_a_collection_that_is_gone_is_told_by_name(library: Library) -> None:
    with pytest.raises(NodeFault, match="no collection with the name 'gone'") as caught:
        await write(library, collection="gone", text="x")
    assert caught.value.code == "COLLECTION_NOT_FOUND"


def problems(**values: Any) -> list[str]:
    return [problem.message for problem in compile_config(KIND, {"collection": "c", **values}).problems]


def test_either_documents_or_a_text_is_given() -> None:
    assert problems() == ["give either `documents` or `text`."]
    assert problems(documents="[]", text="x") == ["give either `documents` or `text`."]
    assert "belong to `text`" in problems(documents="[]", externalId="x")[0]
