"""How much of something there may still be: counted seldom, and never further than it matters."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

Owner = TypeVar("Owner", bound="UUID")
_SHARE: Final = 8
"""So much of what is left may be used up without another look: so many processes can overshoot by what is left at most."""
_MOST_KNOWN: Final = 10_000


class Room(Generic[Owner]):
    """A cap on what each owner has in all processes together.

    What is left is counted anew when an eighth of it may have been used up here. So a cap that is far away costs no statement,
    and one that is near, or small, is exact but for what happens in the same moment.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self._unasked: OrderedDict[Owner, int] = OrderedDict()

    def is_known(self, owner: Owner) -> bool:
        """Tell whether there is room for one more without another look."""
        return self._unasked.get(owner, 0) > 0

    async def is_there(self, owner: Owner, count: Callable[[Owner, int], Awaitable[int]]) -> bool:
        """Tell whether there may be one more, and expect that it comes.

        `count` gives how many an owner has, up to a number; it is asked only now and then.
        """
        unasked = self._unasked.pop(owner, 0)
        if unasked <= 0:
            left = self.cap - await count(owner, self.cap)
            if left <= 0:
                return False
            unasked = left // _SHARE + 1
        self._unasked[owner] = unasked - 1
        if len(self._unasked) > _MOST_KNOWN:
            self._unasked.popitem(last=False)
        return True
