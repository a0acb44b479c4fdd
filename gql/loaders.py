"""Loaders: sibling fields of one operation share one call to a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from strawberry.dataloader import DataLoader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

Scope = TypeVar("Scope")
Key = TypeVar("Key", bound="Hashable")
Value = TypeVar("Value")

MAX_BATCH = 500


class Loaders(Generic[Scope]):
    """The loaders of one operation; they batch and never remember, so no event of a subscription sees a stale value.

    A loader is an async function `load(scope, keys)` that returns one value for each key, in their order; `scope` is the
    context of the operation.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._loaders: dict[object, DataLoader[Any, Any]] = {}

    def load(self, load: Callable[[Scope, list[Key]], Awaitable[Sequence[Value]]], key: Key) -> Awaitable[Value]:
        """Return the value of one key; calls made in the same turn of the event loop become one batch."""
        return self._loader(load).load(key)

    def load_many(
        self, load: Callable[[Scope, list[Key]], Awaitable[Sequence[Value]]], keys: Sequence[Key]
    ) -> Awaitable[list[Value]]:
        """Return the values of several keys, in their order."""
        return self._loader(load).load_many(keys)

    def _loader(self, load: Callable[[Scope, list[Key]], Awaitable[Sequence[Value]]]) -> DataLoader[Key, Value]:
        loader = self._loaders.get(load)
        if loader is None:

            async def batch(keys: list[Key]) -> list[Value]:
                # Without a cache the same key may come twice in a batch; the service is asked for it once.
                unique = list(dict.fromkeys(keys))
                found = dict(zip(unique, await load(self._scope, unique), strict=True))
                return [found[key] for key in keys]

            loader = self._loaders[load] = DataLoader(batch, max_batch_size=MAX_BATCH, cache=False)
        return cast("DataLoader[Key, Value]", loader)
