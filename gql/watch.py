"""Watching one run to its end: the snapshot first, then its events, shown as they come."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gql.client.run_view import RunView
from gql.client.stream import follow
from gql.live_tree import draw, utc_now
from gql.printing import print_lines
from gql.screens import screen_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from rich.console import Console

    from gql.asking.people import People
    from gql.client.events import Event
    from gql.client.session import ApiClient
    from gql.client.stream import Patience
from gql.screens import Screen


@dataclass(frozen=True, slots=True)
class Onlooker:
    """Somebody beside the screen, who is given the whole log from its first event on.

    `see` gets each event with the view after it, and returns what there is to say about it; `see_again` gets an event that
    the server sent once too often.
    """

    see: Callable[[Event, RunView], str | None]
    see_again: Callable[[Event], None]
    patience: Patience


async def watch(
    client: ApiClient, run_id: str, console: Console, onlooker: Onlooker | None = None, people: People | None = None
) -> RunView:
    """Show the run until it ends, and return how it ended; `people` hear what it asks.

    Raises:
        RequestRefused: there is no such run.
        ServerUnreachable: the server stayed away too long.
    """
    opened = await client.open_run(run_id)
    view = RunView.of(opened)
    if view.status.is_finished and onlooker is None:
        print_lines(console, draw(view, utc_now()))
        return view
    async with screen_of(view, console) as screen, people.listening(view, screen) if people else _nobody():
        connection = _Connection(screen)
        log = follow(
            client,
            run_id,
            None if onlooker else opened.snapshot.cursor,
            patience=onlooker.patience if onlooker else None,
            on_break=connection.broke,
            on_repeat=onlooker.see_again if onlooker else _ignore,
        )
        async with contextlib.aclosing(log) as events:
            async for event in events:
                connection.works()
                view.apply(event)
                screen.show(event)
                if people is not None:
                    people.hear(event)
                said = onlooker.see(event, view) if onlooker else None
                if said is not None:
                    screen.say(said, "yellow")
    return view


@contextlib.asynccontextmanager
async def _nobody() -> AsyncGenerator[None]:
    yield


def _ignore(_: Event) -> None:
    pass


class _Connection:
    """Says once that the connection is lost, however often it cannot be made again."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._is_lost = False

    def broke(self, reason: str) -> None:
        if not self._is_lost:
            self._screen.say(f"Connection lost ({reason}); going on behind the last event …", "yellow")
        self._is_lost = True

    def works(self) -> None:
        self._is_lost = False
