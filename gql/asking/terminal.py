"""The person at the terminal: lines that are asked for, without a thread that nobody could stop."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_CHUNK = 4_096
_MAX_LINE_BYTES = 65_536


class InputEnded(Exception):
    """The person closed the input (Ctrl-D)."""


class Terminal:
    """A terminal that can be asked. The terminal itself lets lines be edited; they come when they are complete."""

    def __init__(self, console: Console, descriptor: int) -> None:
        self._console = console
        self._descriptor = descriptor
        self._typed = bytearray()

    def tell(self, text: str, style: str = "default") -> None:
        """Print a line."""
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def forget_typed(self) -> None:
        """Forget what was typed before anything was asked: it is no answer."""
        self._typed.clear()
        termios.tcflush(self._descriptor, termios.TCIFLUSH)

    async def ask(self, prompt: str) -> str:
        """Return the line that is typed behind a prompt.

        Raises:
            InputEnded: the input was closed.
        """
        self._console.print(prompt, style="bold", end=" ", markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()
        while b"\n" not in self._typed:
            self._typed += await self._read()
            if len(self._typed) > _MAX_LINE_BYTES:
                raise InputEnded
        line, _, rest = bytes(self._typed).partition(b"\n")
        self._typed = bytearray(rest)
        return line.decode(errors="replace").strip()

    async def _read(self) -> bytes:
        """Return what is typed next; whoever is cancelled meanwhile leaves the terminal as it is."""
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, _set, readable)
        try:
            await readable
        finally:
            loop.remove_reader(self._descriptor)
        # There is something to read, unless another program at the same terminal was quicker.
        typed = await asyncio.to_thread(os.read, self._descriptor, _CHUNK)
        if not typed:
            raise InputEnded
        return typed


def terminal_of(console: Console) -> Terminal | None:
    """Return the terminal that the console writes to and whoever reads it types at; None where nobody does."""
    try:
        is_typed_at = sys.stdin.isatty()
    except (AttributeError, ValueError):  # closed, or never open
        return None
    return Terminal(console, sys.stdin.fileno()) if console.is_terminal and is_typed_at else None


def _set(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
