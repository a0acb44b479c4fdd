from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gql.context import Context
from gql.schema import build_schema
from tests.support.api import Api
from tests.support.collections import TEXTS, Library, open_library
from tests.support.query_count import counting
from tests.support.services import settings_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

ERRORS = "userErrors { __typename message code path }"
COMPARING_NOTHING: list[dict[str, Any]] = [
    {"and": []},
    {"or": []},
    {"not": {"or": []}},
    {"or": [{"and": []}, {"path": "key", "eq": "a"}]},
    {"and": [{"path": "key", "eq": "a"}, {"not": {"and": []}}]},
]
CREATE = f"""mutation ($input: CreateCollectionInput!) {{ createCollection(input: $input) {{
  collection {{ id name dimension metric embedder {{ connection model }} chunking {{ splitBy maxChars overlapChars }}
    stats {{ documents chunks live dead indexKind isRebuilding }} workspace {{ id }} createdAt updatedAt }} {ERRORS} }} }}"""
UPSERT = f"""mutation ($id: ID!, $documents: [DocumentInput!]!) {{
  upsertDocuments(input: {{ collectionId: $id, documents: $documents }}) {{
    documents {{ id externalId text metadata chunks {{ totalCount nodes {{ position text }} }} }}
    collection {{ id stats {{ documents chunks }} }} {ERRORS} }} }}"""
SEARCH = """query ($input: SearchInput!) { search(input: $input) { elapsedMs matches {
  text score metadata document { id externalId collection { name } } chunk { id position document { id } } } } }"""
DELETE_DOCUMENTS = f"""mutation ($input: DeleteDocumentsInput!) {{ deleteDocuments(input: $input) {{
  deletedCount collection {{ stats {{ documents }} }} {ERRORS} }} }}"""
REBUILD = f"""mutation ($input: RebuildCollectionInput!) {{ rebuildCollection(input: $input) {{
  collection {{ id stats {{ isRebuilding }} }} {ERRORS} }} }}"""
DELETE = f"mutation ($id: ID!) {{ deleteCollection(input: {{ id: $id }}) {{ deletedCollectionId {ERRORS} }} }}"
CHANGED = "subscription ($id: ID!) { collectionChanged(collectionId: $id) { id name stats { documents } } }"


class Desk:
    """Somebody's collections over the API."""

    def __init__(self, api: Api, library: Library) -> None:
        self.api = api
        self.library = library

    async def ask(self, document: str, **variables: Any) -> Any:
        answer = await self.api.run(document, variables, caller=self.library.owner)
        assert answer.errors == []
        [found] = answer.data.values()
        return found

    async def make(self, name: str = "library", **more: Any) -> str:
        made = await self.ask(CREATE, input={"name": name, **more})
        assert made["userErrors"] == []
        return made["collection"]["id"]

    async def fill(self, collection: str, **texts: str) -> Any:
        documents = [
            {"externalId": key, "text": text, "metadata": {"key": key, "length": len(text)}}
            for key, text in (texts or TEXTS).items()
        ]
        written = await self.ask(UPSERT, id=collection, documents=documents)
        assert written["userErrors"] == []
        return written


@pytest.fixture
async def desk(database_url: str, data_dir: Path) -> AsyncGenerator[Desk]:
    schema = await asyncio.to_thread(build_schema, settings_on(database_url, data_dir))
    async with open_library(database_url, data_dir) as library:
        yield Desk(Api(schema, library.services), library)


async def test_a_collection_is_made_as_it_is_described(desk: Desk) -> None:
    made = await desk.ask(CREATE, input={"name": "library", "metric": "L2", "chunking": {"maxChars": 800}})
    assert made["userErrors"] == []
    collection = made["collection"]
    assert collection["id"].startswith("col_")
    assert collection["embedder"] == {"connection": None, "model": "all-minilm-l6-v2-int8"}
    assert (collection["dimension"], collection["metric"]) == (384, "L2")
    assert collection["chunking"] == {"splitBy": "PARAGRAPH", "maxChars": 800, "overlapChars": 150}
    assert collection["stats"] == {
        "documents": 0, "chunks": 0, "live": 0, "dead": 0, "indexKind": "FLAT", "isRebuilding": False,
    }  # fmt: skip


async def test_documents_are_written_read_and_found(desk: Desk) -> None:
    collection = await desk.make()
    written = await desk.fill(collection)
    assert [one["externalId"] for one in written["documents"]] == list(TEXTS)
    assert written["documents"][0]["chunks"] == {"totalCount": 1, "nodes": [{"position": 0, "text": TEXTS["cat"]}]}
    assert written["collection"]["stats"] == {"documents": 3, "chunks": 3}
    found = await desk.ask(SEARCH, input={"collectionId": collection, "text": "a sleepy cat", "topK": 2})
    best = found["matches"][0]
    assert len(found["matches"]) == 2
    assert (best["text"], best["metadata"]) == (TEXTS["cat"], {"key": "cat", "length": 27})
    assert best["document"] == {
        "id": written["documents"][0]["id"], "externalId": "cat", "collection": {"name": "library"},
    }  # fmt: skip
    assert best["chunk"]["document"]["id"] == best["document"]["id"]
    assert best["score"] > found["matches"][1]["score"]
    assert found["elapsedMs"] > 0


async def test_filters_tell_null_from_absent(desk: Desk) -> None:
    collection = await desk.make()
    documents = [
        {"externalId": "null", "text": "One.", "metadata": {"lang": None}},
        {"externalId": "en", "text": "Two.", "metadata": {"lang": "en"}},
        {"externalId": "none", "text": "Three."},
    ]
    await desk.ask(UPSERT, id=collection, documents=documents)

    async def keys(**given: Any) -> set[str]:
        search = {"collectionId": collection, "text": "one", "filter": given}
        found = await desk.ask(SEARCH, input=search)
        listed = await desk.ask(
            """query ($id: ID!, $filter: FilterInput) { collection(id: $id) {
            documents(filter: $filter) { totalCount nodes { externalId } } } }""",
            id=collection,
            filter=given,
        )
        of_list = {one["externalId"] for one in listed["documents"]["nodes"]}
        assert listed["documents"]["totalCount"] == len(of_list)
        assert {match["document"]["externalId"] for match in found["matches"]} == of_list
        return of_list

    assert await keys(path="lang", eq=None) == {"null"}
    assert await keys(path="lang", exists=True) == {"en"}
    assert await keys(**{"not": {"path": "lang", "eq": "en"}}) == {"null", "none"}
    assert await keys(**{"or": [{"path": "lang", "in": ["en", "de"]}, {"path": "lang", "eq": None}]}) == {"null", "en"}


async def test_a_broken_filter_is_an_error_with_its_path(desk: Desk) -> None:
    collection = await desk.make()
    given = {"collectionId": collection, "text": "x", "filter": {"and": [{"path": "a"}]}}
    answer = await desk.api.run(SEARCH, {"input": given}, caller=desk.library.owner)
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.errors[0]["extensions"]["path"] == ["input", "filter", "and", "0"]
    told = await desk.ask(DELETE_DOCUMENTS, input={"collectionId": collection, "filter": {}})
    assert told["userErrors"][0]["path"] == ["input", "filter"]


async def test_faults_of_documents_are_user_errors_and_nothing_is_written(desk: Desk) -> None:
    collection = await desk.make()
    good = {"text": "Fine."}
    for bad, code, path in (
        ({"text": " "}, "INVALID_INPUT", ["text"]),
        ({"text": "a\0"}, "INVALID_INPUT", ["text"]),
        ({"text": "x" * 1_048_577}, "LIMIT_EXCEEDED", ["text"]),
        ({"text": "x" * 5_000_000}, "LIMIT_EXCEEDED", ["text"]),
        ({"text": "x", "metadata": "text"}, "INVALID_INPUT", ["metadata"]),
        ({"text": "x", "externalId": "k" * 513}, "INVALID_INPUT", ["externalId"]),
    ):
        told = await desk.ask(UPSERT, id=collection, documents=[good, bad])
        [error] = told["userErrors"]
        assert (error["code"], error["path"]) == (code, ["input", "documents", "1", *path])
        assert told["documents"] is None
    told = await desk.ask(UPSERT, id=collection, documents=[good] * 1_001)
    assert [error["code"] for error in told["userErrors"]] == ["LIMIT_EXCEEDED"]
    found = await desk.ask("query ($id: ID!) { collection(id: $id) { stats { documents } } }", id=collection)
    assert found["stats"]["documents"] == 0


async def test_documents_are_deleted_by_all_that_is_given(desk: Desk) -> None:
    collection = await desk.make()
    written = await desk.fill(collection, a="A.", b="B.", c="C.", d="D.")
    given = {
        "collectionId": collection,
        "documentIds": [written["documents"][0]["id"]],
        "externalIds": ["b"],
        "filter": {"path": "key", "eq": "c"},
    }
    told = await desk.ask(DELETE_DOCUMENTS, input=given)
    assert told == {"deletedCount": 3, "collection": {"stats": {"documents": 1}}, "userErrors": []}


@pytest.mark.parametrize("empty", COMPARING_NOTHING)
async def test_a_filter_that_compares_nothing_deletes_nothing(desk: Desk, empty: dict[str, Any]) -> None:
    collection = await desk.make()
    await desk.fill(collection, a="A.", b="B.")
    told = await desk.ask(DELETE_DOCUMENTS, input={"collectionId": collection, "filter": empty, "externalIds": ["a"]})
    assert [(e["code"], e["path"]) for e in told["userErrors"]] == [("INVALID_INPUT", ["input", "filter"])]
    found = await desk.ask("query ($id: ID!) { collection(id: $id) { stats { documents } } }", id=collection)
    assert found["stats"]["documents"] == 2


@pytest.mark.parametrize("model", ["", " ", "no/such-model"])
async def test_a_model_that_is_none_is_refused_with_its_place(desk: Desk, model: str) -> None:
    made = await desk.ask(CREATE, input={"name": "fresh", "embedder": {"model": model}})
    assert [(e["code"], e["path"]) for e in made["userErrors"]] == [("INVALID_INPUT", ["input", "embedder", "model"])]
    assert made["collection"] is None


async def test_an_id_that_is_none_is_told_with_its_place(desk: Desk) -> None:
    collection = await desk.make()
    written = await desk.fill(collection, a="A.")
    ids = [written["documents"][0]["id"], "x"]
    told = await desk.ask(DELETE_DOCUMENTS, input={"collectionId": collection, "documentIds": ids})
    assert [(error["code"], error["path"]) for error in told["userErrors"]] == [
        ("NOT_FOUND", ["input", "documentIds", "1"])
    ]
    made = await desk.ask(CREATE, input={"name": "other", "workspaceId": ""})
    assert [(error["code"], error["path"]) for error in made["userErrors"]] == [("NOT_FOUND", ["input", "workspaceId"])]


async def test_what_is_not_supported_yet_says_so(desk: Desk) -> None:
    collection = await desk.make()
    for mode in ("KEYWORD", "HYBRID"):
        given = {"collectionId": collection, "text": "x", "mode": mode}
        answer = await desk.api.run(SEARCH, {"input": given}, caller=desk.library.owner)
        assert answer.errors[0]["message"] == f"The mode {mode} is not supported yet; use SEMANTIC."
        assert answer.errors[0]["extensions"] == {"code": "INVALID_INPUT", "path": ["input", "mode"]}


async def test_collections_are_listed_and_found_by_name(desk: Desk) -> None:
    for name in ("beta", "alpha"):
        await desk.make(name)
    listing = """{ viewer { workspaces { nodes { collections { totalCount nodes { name } }
      collection(name: "beta") { name } none: collection(name: "no such name") { name } } } } }"""
    viewer = await desk.ask(listing)
    [workspace] = viewer["workspaces"]["nodes"]
    assert workspace["collections"] == {"totalCount": 2, "nodes": [{"name": "alpha"}, {"name": "beta"}]}
    assert (workspace["collection"], workspace["none"]) == ({"name": "beta"}, None)


async def test_a_rebuild_begins_and_ends(desk: Desk) -> None:
    collection = await desk.make()
    await desk.fill(collection)
    told = await desk.ask(REBUILD, input={"id": collection, "chunking": {"maxChars": 200, "overlapChars": 0}})
    assert told == {"collection": {"id": collection, "stats": {"isRebuilding": True}}, "userErrors": []}
    again = await desk.ask(REBUILD, input={"id": collection})
    assert [error["code"] for error in again["userErrors"]] in (["CONFLICT"], [])
    wrong = await desk.ask(REBUILD, input={"id": collection, "chunking": {"maxChars": 1}})
    assert wrong["userErrors"][0]["path"] == ["input", "chunking", "maxChars"]


async def test_a_watcher_sees_the_collection_its_changes_and_its_end(desk: Desk) -> None:
    collection = await desk.make()
    context = Context(desk.library.services, desk.library.owner)
    stream: Any = await desk.api.schema.subscribe(CHANGED, {"id": collection}, context_value=context)
    async with asyncio.timeout(20):
        first = (await anext(stream)).data["collectionChanged"]
        assert first == {"id": collection, "name": "library", "stats": {"documents": 0}}
        await desk.fill(collection)
        while (await anext(stream)).data["collectionChanged"]["stats"]["documents"] != 3:
            pass
        await desk.ask(DELETE, id=collection)
        assert [result.errors async for result in stream if result.errors] == []


LIST = """query ($id: ID!) { collection(id: $id) { documents(first: 100) { nodes {
  id collection { name stats { documents } } chunks(first: 5) { totalCount nodes { text } } } } } }"""


async def test_a_list_takes_as_many_statements_for_ten_documents_as_for_one(desk: Desk) -> None:
    collection = await desk.make()
    counts: list[int] = []
    executed: list[str] = []
    for name in "abcdefghij":
        await desk.fill(collection, **{name: f"Text {name}."})
        with counting() as statements:
            answer = await desk.ask(LIST, id=collection)
        assert len(answer["documents"]["nodes"]) == len(counts) + 1
        counts.append(statements.count)
        executed.append(str(statements))
    assert counts == [6] * 10, executed[-1]


async def test_a_list_of_collections_counts_all_of_them_at_once(desk: Desk) -> None:
    counts: set[int] = set()
    executed = ""
    for name in "abc":
        await desk.make(name)
        with counting() as statements:
            await desk.ask("{ viewer { workspaces { nodes { collections { nodes { stats { documents } } } } } } }")
        counts.add(statements.count)
        executed = str(statements)
    assert counts == {3}, executed
