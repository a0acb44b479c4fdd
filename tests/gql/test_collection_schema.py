from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema as parse_schema

from gql.schema import build_schema
from runtime.settings import Settings

DRAFT = parse_schema((Path(__file__).parents[2] / "docs/design/schema.graphql").read_text())
BUILT = build_schema(Settings(_env_file=None))._schema  # pyright: ignore[reportCallIssue]


def named(schema: Any, name: str) -> Any:
    return schema.type_map[name]


@pytest.mark.parametrize(
    "name",
    [
        "Collection", "Embedder", "Chunking", "CollectionStats", "Document", "Chunk", "SearchResult", "SearchMatch",
        "CollectionConnection", "CollectionEdge", "DocumentConnection", "DocumentEdge", "ChunkConnection", "ChunkEdge",
        "CreateCollectionInput", "DeleteCollectionInput", "UpsertDocumentsInput", "DeleteDocumentsInput",
        "RebuildCollectionInput", "EmbedderInput", "ChunkingInput", "DocumentInput", "SearchInput",
        "CreateCollectionPayload", "DeleteCollectionPayload", "UpsertDocumentsPayload", "DeleteDocumentsPayload",
        "RebuildCollectionPayload",
    ],
)  # fmt: skip
def test_a_type_is_the_one_of_the_design(name: str) -> None:
    built, draft = named(BUILT, name), named(DRAFT, name)
    assert built.description == draft.description
    assert {key: (str(one.type), one.description) for key, one in built.fields.items()} == {
        key: (str(one.type), one.description) for key, one in draft.fields.items()
    }


@pytest.mark.parametrize("name", ["VectorMetric", "ChunkSplit", "IndexKind", "SearchMode"])
def test_an_enum_is_the_one_of_the_design(name: str) -> None:
    built, draft = named(BUILT, name), named(DRAFT, name)
    assert built.description == draft.description
    assert {key: one.description for key, one in built.values.items()} == {
        key: one.description for key, one in draft.values.items()
    }


@pytest.mark.parametrize(
    "root",
    [
        "Query.collection", "Query.search", "Workspace.collection", "Workspace.collections", "Mutation.createCollection",
        "Mutation.deleteCollection", "Mutation.upsertDocuments", "Mutation.deleteDocuments",
        "Mutation.rebuildCollection", "Subscription.collectionChanged",
    ],
)  # fmt: skip
def test_a_field_is_the_one_of_the_design(root: str) -> None:
    kind, _, name = root.partition(".")
    built, draft = named(BUILT, kind).fields[name], named(DRAFT, kind).fields[name]
    assert (str(built.type), built.description) == (str(draft.type), draft.description)
    assert {key: (str(one.type), one.description) for key, one in built.args.items()} == {
        key: (str(one.type), one.description) for key, one in draft.args.items()
    }
