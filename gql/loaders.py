"""Loaders: sibling fields of one operation share one call to a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from strawberry.dataloader import DataLoader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence

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

    def load_for(
        self, ask: Callable[..., Awaitable[Mapping[Key, Value]]], owner: Key, *part: object
    ) -> Awaitable[Value]:
        """Return what `ask(owners, *part)` says of one owner.

        Owners that are asked for in the same turn, with the same part of their lists, become one call. `ask` is a method of
        a service that answers for each of the owners.
        """
        # Known by how it is written: conditions hold lists, which have no hash, and 1 and true, which are equal.
        name = (ask, repr(part))
        loader = self._loaders.get(name)
        if loader is None:

            async def batch(owners: list[Key]) -> list[Value]:
                found = await ask(list(dict.fromkeys(owners)), *part)
                return [found[owner] for owner in owners]

            loader = self._loaders[name] = DataLoader(batch, max_batch_size=MAX_BATCH, cache=False)
        return cast("DataLoader[Key, Value]", loader).load(owner)

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
