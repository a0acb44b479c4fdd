"""The guard before execution: parses and validates once, refuses what is too large, and ends what takes too long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from graphql import DocumentNode, GraphQLError, NoSchemaIntrospectionCustomRule, OperationDefinitionNode
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from gql.measure import FragmentCycle, Measure, Ruler
from gql.nulls import refuse_nulls, said_of_literal
from gql.presenting import OperationTimedOut, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from strawberry.types import ExecutionContext

    from gql.context import Context
    from runtime.settings import ApiSettings

# graphql-core's own budget allows 2.4 s of comparisons for a document within our limits; this one 0.25 s, and the
# largest of docs/design/operations.graphql needs less than a tenth of it. Assigning is how its source says to do it.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 50_000

_CACHED_TEXT = 1_048_576
"""Characters of all remembered documents; a parsed document takes some fifty times as many bytes."""
_MAX_SELECTIONS = 10_000
"""Selections with fragments spread out."""
_MOST = 10**12
"""The largest figure that is told."""


@dataclass(slots=True)
class Known:
    """A document that was seen before, and what validation said of it."""

    document: DocumentNode
    errors: list[GraphQLError] | None = None


class Documents:
    """Remembers parsed and validated documents, the least recently used leave first; one for each schema."""

    def __init__(self, max_text: int = _CACHED_TEXT) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._max_text = max_text
        self._text = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, query: str) -> Known | None:
        """Return what is known of a text."""
        known = self._known.get(query)
        if known is not None:
            self._known.move_to_end(query)
        return known

    def add(self, query: str, document: DocumentNode) -> Known:
        """Remember a document, unless it alone would fill a quarter of the memory."""
        known = Known(document)
        if len(query) * 4 <= self._max_text and query not in self._known:
            self._known[query] = known
            self._text += len(query)
            while self._text > self._max_text:
                oldest, _ = self._known.popitem(last=False)
                self._text -= len(oldest)
        return known


def refuse_long(query: str, limits: ApiSettings) -> GraphQLError | None:
    """Return an error for a text that is not even worth parsing."""
    size = len(query.encode(errors="surrogatepass"))
    if size <= limits.max_query_bytes:
        return None
    return refusal(
        f"The document has {size:,} bytes, at most {limits.max_query_bytes:,} are allowed.",
        "LIMIT_EXCEEDED",
        limit=limits.max_query_bytes,
        actual=size,
    )


class Guard(SchemaExtension):
    """Applies the limits to one operation, over HTTP and over websockets alike."""

    def __init__(self, limits: ApiSettings, documents: Documents) -> None:
        self._limits = limits
        self._documents = documents
        self._known: Known | None = None
        self._cost: int | None = None

    def on_parse(self) -> Iterator[None]:
        """Take the document from memory, or let Strawberry parse it within the limit of tokens."""
        context = self.execution_context
        context.parse_options = {"max_tokens": self._limits.max_tokens}
        query = context.query or ""
        if refuse_long(query, self._limits) is not None:
            # The transports ask first and answer better; this is for whoever calls the schema without them.
            context.parse_options = {"max_tokens": 0}
        self._known = self._documents.find(query)
        if self._known is not None:
            context.graphql_document = self._known.document
        yield
        if self._known is None and context.graphql_document is not None:
            self._known = self._documents.add(query, context.graphql_document)

    def on_validate(self) -> Iterator[None]:
        """Refuse what is too large before graphql-core's rules see it, some of which are quadratic."""
        context = self.execution_context
        told = cast("Context", context.context)
        told.operation_type, told.operation_name = context.operation_type, context.operation_name
        if not self._limits.is_introspection_enabled:
            context.validation_rules = (*context.validation_rules, NoSchemaIntrospectionCustomRule)
        assert self._known is not None  # noqa: S101 - on_parse ran before
        refused = self._refuse(self._known.document, context)
        if refused is not None:
            context.pre_execution_errors = [refused]
        else:
            context.pre_execution_errors = list(self._validated(self._known, context))
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        """End a query or mutation that takes too long; of a subscription, its beginning."""
        limit = asyncio.timeout(self._limits.resolver_timeout_s)
        try:
            async with limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise OperationTimedOut from None
            raise

    def get_results(self) -> dict[str, object]:
        """Tell the cost of what was measured."""
        if self._cost is None:
            return {}
        return {"cost": {"requested": min(self._cost, _MOST), "limit": self._limits.max_cost}}

    def on_stream_result(self, result: object) -> Iterator[None]:
        """Tell the cost with the first result of a stream only: it does not change."""
        _ = result
        yield
        self._cost = None

    @staticmethod
    def _validated(known: Known, context: ExecutionContext) -> list[GraphQLError]:
        if known.errors is None:
            found = validate_document(context.schema._schema, known.document, context.validation_rules)  # noqa: SLF001 - Strawberry's own extensions use it
            for error in found:
                if isinstance(error, StrawberryInputCoercionError):
                    error.message = said_of_literal(error)
                error.extensions = {"code": "GRAPHQL_VALIDATION_FAILED", **(error.extensions or {})}
            known.errors = found
        return known.errors

    def _refuse(self, document: DocumentNode, context: ExecutionContext) -> GraphQLError | None:
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        name = context.operation_name
        if len(operations) > 1 and context._provided_operation_name is None:  # noqa: SLF001 - `operation_name` guesses
            return refusal(
                "The document holds several operations; say which one with `operationName`.",
                "OPERATION_RESOLUTION_FAILURE",
            )
        ruler = Ruler(context.schema._schema, document, context.variables or {})  # noqa: SLF001 - as above
        try:
            for operation in operations:
                is_chosen = len(operations) == 1 or (operation.name is not None and operation.name.value == name)
                measured = ruler.measure(operation)
                if is_chosen:
                    self._cost = measured.cost
                refused = self._judge(measured, is_chosen=is_chosen)
                if refused is None and is_chosen:
                    refused = refuse_nulls(context.schema._schema, operation, context.variables or {})  # noqa: SLF001 - as above
                if refused is not None:
                    return refused
        except FragmentCycle as cycle:
            return refusal(f"Cannot spread fragment '{cycle}' within itself.", "GRAPHQL_VALIDATION_FAILED")
        return None

    def _judge(self, measure: Measure, *, is_chosen: bool) -> GraphQLError | None:
        limits = self._limits
        rows = (
            ("deep: {} levels", measure.depth, limits.max_depth),
            ("full of aliases: {}", measure.aliases, limits.max_aliases),
            ("broad: {} fields at its root", measure.root_fields, limits.max_root_fields),
            ("full of directives: {} at one place", measure.directives, limits.max_directives),
            ("long: {} selections with fragments spread out", measure.selections, _MAX_SELECTIONS),
            ("costly: it may ask for {} objects", measure.cost if is_chosen else 0, limits.max_cost),
        )
        for words, actual, limit in rows:
            if actual > limit:
                # A fragment bomb has more digits than anyone wants to read.
                shown = f"{actual:,}" if actual < _MOST else "more than 10¹²"
                message = f"The operation is too {words.format(shown)}, at most {limit:,} are allowed."
                return refusal(message, "LIMIT_EXCEEDED", limit=limit, actual=min(actual, _MOST))
        return None
