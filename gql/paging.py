"""Connections: pages of lists by keyset, in Relay's shape.

A feature declares its pages with the words of its own:

    @strawberry.type(description="A run on a page.")
    class RunEdge(Edge[Run]):
        node: Run = strawberry.field(description="The run.")

    @strawberry.type(description="Runs, page by page.")
    class RunConnection(Connection[Run, RunEdge]): ...

and a field gives `RunConnection.of(page, Run.of, count)` for `page_request(first, after, last, before)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar, cast, get_args

import strawberry

from domain.errors import CursorInvalid, InvalidInput
from domain.ports.paging import Page, PageRequest

if TYPE_CHECKING:
    from typing import Self

DEFAULT_SIZE = 20
MAX_SIZE = 100
_MAX_CURSOR = 4_096

First: TypeAlias = Annotated[
    int | None, strawberry.argument(description="Page size from the start; 1 to 100, else 20.")
]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Only what is behind this cursor.")]
Last: TypeAlias = Annotated[int | None, strawberry.argument(description="Page size from the end.")]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="Only what is before this cursor.")]

ItemT = TypeVar("ItemT")
NodeT = TypeVar("NodeT")
EdgeT = TypeVar("EdgeT")


@strawberry.type(description="Where a page lies in its connection.")
class PageInfo:
    """Where a page lies."""

    has_next_page: bool = strawberry.field(description="Whether more items follow `endCursor`.")
    has_previous_page: bool = strawberry.field(description="Whether items come before `startCursor`.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first item of the page; null when the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last item of the page; null when the page is empty."
    )


@strawberry.type(description="An item on a page.")
class Edge(Generic[NodeT]):
    """An item on a page; subclasses describe the item."""

    cursor: str = strawberry.field(description="Its place, for `after` and `before`.")
    node: NodeT = strawberry.field(description="The item.")


@strawberry.type(description="Items, page by page.")
class Connection(Generic[NodeT, EdgeT]):
    """A page; subclasses name the types of items and edges."""

    page_info: PageInfo = strawberry.field(description="Where this page lies.")
    edges: list[EdgeT] = strawberry.field(description="The items with their cursors.")
    nodes: list[NodeT] = strawberry.field(description="The items alone.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="How many there are on all pages; counted only if selected.")
    async def total_count(self) -> int:
        """Count all items."""
        return await self.count()

    @classmethod
    def of(cls, page: Page[ItemT], convert: Callable[[ItemT], NodeT], count: Callable[[], Awaitable[int]]) -> Self:
        """Make a connection of a page that a service gave; `count` is asked only if `totalCount` is selected."""
        nodes = [convert(item) for item in page.items]
        make_edge = _edge_type(cls)
        return cls(
            page_info=PageInfo(
                has_next_page=page.has_next,
                has_previous_page=page.has_previous,
                start_cursor=page.cursors[0] if page.cursors else None,
                end_cursor=page.cursors[-1] if page.cursors else None,
            ),
            edges=[make_edge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)],
            nodes=nodes,
            count=count,
        )


def _edge_type(connection: type[Any]) -> Callable[..., Any]:
    bases = cast("tuple[object, ...]", connection.__orig_bases__)
    return get_args(bases[0])[1]


def page_request(
    first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
) -> PageRequest:
    """Return which part of a list the four arguments ask for; absent ones may be `UNSET`.

    Raises:
        InvalidInput: `first` together with `last`, or one of them outside 1 to 100.
        CursorInvalid: a cursor that no server gave out.
    """
    first, last, after, before = first or _none(first), last or _none(last), after or None, before or None
    if first is not None and last is not None:
        raise InvalidInput("Give `first` or `last`, not both.", path=["last"])
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 1 <= size <= MAX_SIZE:
            raise InvalidInput(f"`{name}` must be 1 to {MAX_SIZE}, not {size}.", path=[name])
    for cursor in (after, before):
        if cursor is not None and (len(cursor) > _MAX_CURSOR or not cursor.isascii()):
            raise CursorInvalid
    limit = next((size for size in (first, last) if size is not None), DEFAULT_SIZE)
    return PageRequest(limit=limit, after=after, before=before, is_backward=last is not None)


def _none(value: int | None) -> int | None:
    # UNSET is falsy and is no int; 0 is falsy, given, and out of range.
    return value if type(value) is int else None
