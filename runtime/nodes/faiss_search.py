"""FAISS_SEARCH: find documents in a vector collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import orjson
from pydantic import Field, model_validator

from domain.collections import MAX_TOP_K, Match, SearchMode, SearchQuery
from domain.errors import NodeFault, UserFault
from domain.filters import Condition, read_filter
from domain.ids import Prefix, to_global
from domain.json_value import Json
from domain.kinds import (
    FILTER_FIELD,
    Config,
    ConfigProblem,
    ErrorCode,
    NodeContext,
    NodeKind,
    Output,
    Reference,
    Result,
)
from runtime.collection_codes import CODES


class FaissSearchConfig(Config):
    """A search in a collection; output `matches`, best first, each with `documentId`, `chunkId`, `text`, `score`, `metadata`."""

    collection: Annotated[str, Reference("collection")]
    """Name of the collection."""
    search_text: str | None = None
    """Template of the text to search for; give this, `searchVector` or both."""
    search_vector: str | None = None
    """Template that gives a list of numbers as long as the collection's vectors."""
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = 5
    """How many matches at most, 1 to 100."""
    filter: Annotated[Any, FILTER_FIELD] = None
    """A condition on the documents' metadata, in the shape of `FilterInput`; values may be templates."""
    score_threshold: float | None = None
    """Matches below this score are left out."""
    search_mode: SearchMode = SearchMode.SEMANTIC
    """How matches are found."""

    @model_validator(mode="after")
    def _something_is_searched_for(self) -> FaissSearchConfig:
        if self.search_text is None and self.search_vector is None:
            raise ValueError("give `searchText`, `searchVector` or both")
        return self


class FaissMatch(Output):
    """A piece of a document that matches."""

    document_id: str
    """Id of the document."""
    chunk_id: str
    """Id of the piece."""
    text: str
    """The text of the piece."""
    score: float
    """How well it matches; larger is better."""
    metadata: Any
    """The document's metadata."""


class FaissSearchOutput(Output):
    """What a search found."""

    matches: list[FaissMatch]
    """The matches, best first."""


async def run(config: FaissSearchConfig, ctx: NodeContext) -> Result:
    """Search once."""
    query = SearchQuery(
        text=config.search_text,
        vector=None if config.search_vector is None else _numbers(config.search_vector),
        top_k=config.top_k,
        mode=config.search_mode,
        condition=None if config.filter is None else _condition(config.filter),
        score_threshold=config.score_threshold,
    )
    found = await ctx.collections.search(config.collection, query)
    return Result({"matches": [_shown(match) for match in found]})


def _shown(match: Match) -> Json:
    return {
        "documentId": to_global(Prefix.DOCUMENT, match.document.id),
        "chunkId": to_global(Prefix.CHUNK, match.chunk.id),
        "text": match.chunk.text,
        "score": match.score,
        "metadata": match.document.metadata,
    }


def _numbers(rendered: str) -> list[float]:
    try:
        given = orjson.loads(rendered)
    except orjson.JSONDecodeError:
        given = None
    numbers = cast("list[object]", given) if isinstance(given, list) else []
    if not numbers or not all(type(number) in {int, float} for number in numbers):
        raise NodeFault("INVALID_VECTOR", "`searchVector` gives no list of numbers.")
    return [float(cast("float", number)) for number in numbers]


def _condition(given: Json) -> Condition:
    try:
        return read_filter(given, ("filter",))
    except UserFault as fault:
        raise NodeFault("INVALID_FILTER", f"{'.'.join(fault.path or ())}: {fault.message}") from None


def check(config: FaissSearchConfig) -> Sequence[ConfigProblem]:
    """Find what this version cannot do and filters that never hold together, when the graph is saved."""
    problems = list[ConfigProblem]()
    if config.search_mode is not SearchMode.SEMANTIC:
        text = f"The mode {config.search_mode.value} is not supported yet; use SEMANTIC."
        problems.append(ConfigProblem(("searchMode",), "NOT_SUPPORTED", text))
    if config.filter is not None:
        try:
            read_filter(config.filter, ("filter",))
        except UserFault as fault:
            path = tuple(fault.path or ())
            if not _is_template(config.filter, path[1:]):
                problems.append(ConfigProblem(path, "INVALID_CONFIG", fault.message))
    return problems


def _is_template(given: Any, path: Sequence[str]) -> bool:
    """Whether a template stands at a path: what it will give is not known yet."""
    for step in path:
        if isinstance(given, Mapping):
            given = cast("Mapping[str, Any]", given).get(step)
        elif isinstance(given, list):
            given = cast("list[Any]", given)[int(step)]
    return isinstance(given, str) and "{{" in given


KIND = NodeKind(
    kind="FAISS_SEARCH",
    name="faissSearch",
    title="Vector search",
    description="Find documents in a vector collection.",
    config=FaissSearchConfig,
    output=FaissSearchOutput,
    run=run,
    check=check,
    error_codes=(
        *CODES,
        ErrorCode("INVALID_QUERY", "There is nothing to search for.", is_retryable=False),
        ErrorCode(
            "INVALID_VECTOR", "The vector is no list of numbers as long as the collection's.", is_retryable=False
        ),
        ErrorCode("INVALID_FILTER", "The filter is no condition once its templates are rendered.", is_retryable=False),
        ErrorCode("NOT_SUPPORTED", "The mode is not supported yet.", is_retryable=False),
    ),
    is_idempotent=True,
)
