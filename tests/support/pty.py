"""A terminal of the test's own: what is written to it is kept, and what is typed comes from the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TIMEOUT_S = 30.0


@dataclass
class Pty:
    """Both ends of a terminal; programs get `inside`."""

    outside: int
    inside: int
    shown: str = ""
    _seen: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def type(self, text: str) -> None:
        """Type, as a person would; the byte 3 is Ctrl-C."""
        os.write(self.outside, text.encode())

    def line(self, text: str = "") -> None:
        """Type a line."""
        self.type(f"{text}\n")

    async def until(self, text: str) -> str:
        """Wait until something is shown behind what was waited for last, and return all that was shown up to it."""
        while (at := self.shown.find(text, self._seen)) < 0:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), _TIMEOUT_S)
            except TimeoutError as error:
                message = f"{text!r} was not shown in {self.shown[self._seen :]!r}"
                raise AssertionError(message) from error
        before = self.shown[self._seen : at + len(text)]
        self._seen = at + len(text)
        return before

    def read(self) -> None:
        """Take what was written since."""
        with contextlib.suppress(OSError):  # nobody holds the other end any more
            self.shown += _CONTROL.sub("", os.read(self.outside, 65_536).decode(errors="replace").replace("\r", ""))
        self._news.set()


@contextlib.contextmanager
def terminal() -> Generator[Pty]:
    """Open a terminal of 120 columns that does not echo."""
    outside, inside = os.openpty()
    termios.tcsetwinsize(inside, (60, 120))
    attributes = termios.tcgetattr(inside)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(inside, termios.TCSANOW, attributes)
    pty, loop = Pty(outside, inside), asyncio.get_running_loop()
    loop.add_reader(outside, pty.read)
    try:
        yield pty
    finally:
        loop.remove_reader(outside)
        os.close(outside)
        os.close(inside)
