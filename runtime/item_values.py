"""The values of the items of one node: what each of them sees, and what they have returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import NodeFault
from domain.json_codec import MAX_OUTPUT_BYTES
from domain.workflow import ItemErrorPolicy
from runtime.execute import Failed, expand_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.json_value import Json
    from runtime.execute import ExecutableNode

_TOO_LARGE: Final = f"The outputs of the items have more than {MAX_OUTPUT_BYTES} bytes of JSON together."


class ItemValues:
    """A list that has been expanded. All its items see the same values, those that were there when the node began."""

    def __init__(
        self, node: ExecutableNode, scope: Mapping[str, Json], count: int, items: Sequence[Json] | None = None
    ) -> None:
        self._node = node
        self._scope = scope
        self._count = count
        self._items = items
        self._outputs: dict[int, bytes] = {}
        self._size = 0

    @property
    def is_too_large(self) -> bool:
        """Whether the outputs together are more than a node may return; then they are not kept."""
        return self._size > MAX_OUTPUT_BYTES

    def check(self) -> None:
        """Check that a good end is possible; after a crash, evaluate the list again, from the same bytes.

        Raises:
            NodeFault: `INVALID_OUTPUT`: the outputs are too large together; `INVALID_ITEMS`: the list is not what it was.
        """
        if self.is_too_large:
            raise NodeFault("INVALID_OUTPUT", _TOO_LARGE)
        if self._items is None:
            items = expand_node(self._node, self._scope)
            found = None if isinstance(items, Failed) else len(items)
            if isinstance(items, Failed) or found != self._count:
                text = f"The list had {self._count} items when the node began, and has {found} now."
                raise NodeFault("INVALID_ITEMS", text)
            self._items = items

    def scope(self, item: int) -> dict[str, Json]:
        """Return what the templates of an item see."""
        assert self._items is not None  # noqa: S101 -- expanded, or recalled since
        return {**self._scope, "item": self._items[item], "index": item}

    def keep(self, item: int, output: bytes) -> None:
        """Remember what an item has returned."""
        self._size += len(output) + 1
        if self.is_too_large:
            self._outputs.clear()
        else:
            self._outputs[item] = output

    def joined(self, on_item_error: ItemErrorPolicy) -> bytes:
        """Return the outputs as a list in the order of the items; null stands for those that failed, or nothing.

        Raises:
            NodeFault: `INVALID_OUTPUT`, as they are too large together.
        """
        found = (self._outputs.get(item) for item in range(self._count))
        absent = None if on_item_error is ItemErrorPolicy.DROP else b"null"
        parts = [part for part in (absent if output is None else output for output in found) if part is not None]
        output = b"[" + b",".join(parts) + b"]"
        if self.is_too_large or len(output) > MAX_OUTPUT_BYTES:
            raise NodeFault("INVALID_OUTPUT", _TOO_LARGE)
        return output
