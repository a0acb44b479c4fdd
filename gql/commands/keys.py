"""`keys rotate`: seals stored values with the first key, and says when the others may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.services import open_rotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from domain.ports.sealed import SealedKind
    from runtime.rotation import Rotated, Tally
    from runtime.settings import Settings


async def rotate_keys(settings: Settings, console: Console, *, is_dry: bool) -> int:
    """Seal stored values anew, or only count them; return 0 unless values are left that no key opens.

    Raises:
        SetupFault: there is no key, or one is malformed.
        DatabaseUnavailable: the database does not answer.
    """
    async with open_rotation(settings) as rotation:
        before = await rotation.tally()
        for tally in before:
            _print(console, f"{tally.kind.value}: {tally.other:,} of {tally.total:,} are sealed with another key.")
        if is_dry:
            _print(console, "Nothing was changed." if _others(before) else _SAFE)
            return 0
        done = await rotation.run(lambda kind, so_far: _print_progress(console, before, kind, so_far))
        others = _others(await rotation.tally())
    _print(console, f"{done.resealed:,} sealed anew.")
    if done.unreadable:
        _print(console, f"{done.unreadable:,} cannot be opened with any of the keys and stay as they are.")
    if others:
        _print(console, "Keep the older keys: not everything is sealed with the first one yet.")
        return 1
    _print(console, _SAFE)
    return 0


_SAFE = (
    "Everything is sealed with the first key. Once every server has been restarted with this key in front, and "
    "`anabranch keys rotate --dry-run` says so again, the other keys may be removed."
)


def _others(tallies: Sequence[Tally]) -> int:
    return sum(tally.other for tally in tallies)


def _print_progress(console: Console, before: Sequence[Tally], kind: SealedKind, so_far: Rotated) -> None:
    total = next(tally.other for tally in before if tally.kind is kind)
    _print(console, f"{kind.value}: {so_far.resealed + so_far.unreadable:,} of {total:,} …")


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
