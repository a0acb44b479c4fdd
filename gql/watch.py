"""Watching one run to its end: the snapshot first, then its events, drawn as they come."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from rich.live import Live

from gql.client.run_view import RunView
from gql.client.stream import follow
from gql.live_tree import describe, draw, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.console import Console

    from gql.client.events import Event
    from gql.client.session import ApiClient

_FRAME_S = 0.1


async def watch(client: ApiClient, run_id: str, console: Console) -> RunView:
    """Show the run until it ends, and return how it ended.

    Raises:
        RequestRefused: there is no such run.
        ServerUnreachable: the server stayed away too long.
    """
    opened = await client.open_run(run_id)
    view = RunView.of(opened)

    def tell_break(reason: str) -> None:
        console.print(
            f"Connection lost ({reason}); going on behind the last event …",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )

    if view.status.is_finished:
        console.print(draw(view, utc_now()))
        return view
    async with contextlib.aclosing(follow(client, run_id, opened.snapshot.cursor, on_break=tell_break)) as events:
        if console.is_terminal:
            await _draw(view, events, console)
        else:
            await _print(view, events, console)
    return view


async def _print(view: RunView, events: AsyncGenerator[Event], console: Console) -> None:
    async for event in events:
        view.apply(event)
        console.print(describe(event, view.created_at), markup=False, highlight=False, soft_wrap=True)


async def _draw(view: RunView, events: AsyncGenerator[Event], console: Console) -> None:
    """Draw at a steady pace, however fast events come: clocks move and the stream is never held up by the terminal."""
    with Live(draw(view, utc_now()), console=console, auto_refresh=False) as live:
        painter = asyncio.create_task(_repaint(view, live), name="repaint the run")
        try:
            async for event in events:
                view.apply(event)
        finally:
            painter.cancel()
            await asyncio.wait([painter])
            live.update(draw(view, utc_now()), refresh=True)


async def _repaint(view: RunView, live: Live) -> None:
    while True:
        live.update(draw(view, utc_now()), refresh=True)
        await asyncio.sleep(_FRAME_S)
