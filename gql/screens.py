"""Where a run is shown: a terminal on which its tree changes in place, or lines for whoever reads them later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, Self

from rich.live import Live

from gql.client.events import NodeOutputDelta, NodeSucceeded
from gql.live_tree import describe, describe_matches, draw, is_worth_a_line, utc_now

if TYPE_CHECKING:
    from rich.console import Console

    from gql.client.events import Event
    from gql.client.run_view import RunView

_FRAME_S = 0.1
_LINE_CHARACTERS = 80
_MATCH_INDENT = " " * 13


class Screen(Protocol):
    """Shows a run while it is entered."""

    async def __aenter__(self) -> Self:
        """Begin to show."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Show how it ended."""
        ...

    def show(self, event: Event) -> None:
        """Show an event, which the view has seen already."""
        ...

    def say(self, text: str, style: str) -> None:
        """Say something beside the run."""
        ...

    async def pause(self) -> None:
        """Leave the console to somebody else until `resume`."""
        ...

    async def resume(self) -> None:
        """Show the run again, as it stands then."""
        ...


def screen_of(view: RunView, console: Console) -> Screen:
    """Return the screen that fits where the console writes."""
    return TreeScreen(view, console) if console.is_terminal else LineScreen(view, console)


class TreeScreen:
    """Draws at a steady pace, however fast events come: clocks move and the stream is never held up by the terminal."""

    def __init__(self, view: RunView, console: Console) -> None:
        self._view = view
        self._console = console
        self._live = self._picture()
        self._painter: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Draw the tree for the first time."""
        await self.resume()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Draw the tree as it stays."""
        if self._painter is None:
            await self.resume()
        await self.pause()

    async def pause(self) -> None:
        """Leave the tree on the terminal as it is now."""
        if self._painter is None:
            return
        self._painter.cancel()
        await asyncio.wait([self._painter])
        self._painter = None
        self._live.update(draw(self._view, utc_now()), refresh=True)
        self._live.stop()

    async def resume(self) -> None:
        """Draw the tree below what is on the terminal, and keep it as the run is."""
        self._live = self._picture()
        self._live.start(refresh=True)
        self._painter = asyncio.create_task(self._repaint(), name="repaint the run")

    def _picture(self) -> Live:
        return Live(draw(self._view, utc_now()), console=self._console, auto_refresh=False)

    def show(self, event: Event) -> None:
        """Leave it to the next frame."""

    def say(self, text: str, style: str) -> None:
        """Print a line above the tree."""
        self._console.print(text, style=style, markup=False, highlight=False)

    async def _repaint(self) -> None:
        while True:
            self._live.update(draw(self._view, utc_now()), refresh=True)
            await asyncio.sleep(_FRAME_S)


class LineScreen:
    """Prints a line for each event; pieces of one text share lines."""

    def __init__(self, view: RunView, console: Console) -> None:
        self._view = view
        self._console = console
        self._pieces: NodeOutputDelta | None = None

    async def __aenter__(self) -> Self:
        """Do nothing: there is nothing to prepare."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Print what is left of a text."""
        self._flush()

    def show(self, event: Event) -> None:
        """Print the event, or keep it until its line is full; items of a list that end well are told in sums."""
        if not is_worth_a_line(event):
            return
        if isinstance(event, NodeOutputDelta):
            self._pieces = self._joined(event)
            if len(self._pieces.text) >= _LINE_CHARACTERS:
                self._flush()
            return
        self._flush()
        self._line(describe(event, self._view.created_at))
        if isinstance(event, NodeSucceeded):
            for match in describe_matches(event.output):
                self._line(f"{_MATCH_INDENT}{match}")

    def say(self, text: str, style: str) -> None:
        """Print a line of its own."""
        self._flush()
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    async def pause(self) -> None:
        """Print what is left of a text."""
        self._flush()

    async def resume(self) -> None:
        """Do nothing: lines go on by themselves."""

    def _joined(self, event: NodeOutputDelta) -> NodeOutputDelta:
        """Return the piece together with what is kept, where both belong on one line."""
        kept = self._pieces
        if kept is None:
            return event
        if (kept.node_key, kept.item_index, kept.attempt, kept.channel) != (
            event.node_key,
            event.item_index,
            event.attempt,
            event.channel,
        ):
            self._flush()
            return event
        return kept.model_copy(update={"text": kept.text + event.text})

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            self._line(describe(pieces, self._view.created_at))

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
