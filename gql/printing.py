"""Printing tables and trees: wrapped where a person sees them on a terminal, in whole lines where a program reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDE: Final = 100_000
"""No line is longer; a pipe has no width, and Rich would take it for a terminal of 80 columns."""


def print_lines(console: Console, found: RenderableType) -> None:
    """Print a table or a tree, each row on one line unless there is a terminal that is too narrow for it."""
    there = console if console.is_terminal else Console(file=console.file, width=_WIDE, color_system=None)
    there.print(found)
