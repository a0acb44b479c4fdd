from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from gql.client.events import read_event, read_run
from gql.client.run_view import RunView
from gql.screens import LineScreen, TreeScreen, screen_of
from tests.support.fake_api import delta, node_event, opened


async def lines_of(*said: dict[str, Any] | str) -> list[str]:
    file = io.StringIO()
    screen = screen_of(RunView.of(read_run(opened())), Console(file=file, width=60, color_system=None))
    assert isinstance(screen, LineScreen)
    async with screen:
        for one in said:
            if isinstance(one, str):
                screen.say(one, "yellow")
            else:
                screen.show(read_event(one))
    return file.getvalue().splitlines()


async def test_pieces_of_one_text_share_a_line_until_it_is_full() -> None:
    pieces = [delta(place, "x" * 30, 30 * (place - 1)) for place in range(1, 6)]
    assert await lines_of(*pieces) == [
        f"  1.000 s  ask: + '{'x' * 90}'",
        f"  4.000 s  ask: + '{'x' * 60}'",
    ]


async def test_whatever_else_happens_comes_after_the_text_before_it() -> None:
    assert await lines_of(
        delta(1, "He", 0), "The server is gone.", delta(2, "llo", 2), node_event(3, "NodePolished")
    ) == [
        "  1.000 s  ask: + 'He'",
        "The server is gone.",
        "  2.000 s  ask: + 'llo'",
        "  3.000 s  ask: polished",
    ]


async def test_texts_of_two_attempts_nodes_or_channels_stand_on_lines_of_their_own() -> None:
    again = node_event(2, "NodeOutputDelta", attempt=2, channel="TEXT", text="b", offset=0)
    other = node_event(3, "NodeOutputDelta", "tell", attempt=2, channel="TEXT", text="c", offset=0)
    thought = node_event(4, "NodeOutputDelta", "tell", attempt=2, channel="REASONING", text="d", offset=0)
    lines = await lines_of(delta(1, "a", 0), again, other, thought)
    assert [line.split(" s  ")[1] for line in lines] == ["ask: + 'a'", "ask: + 'b'", "tell: + 'c'", "tell: + 'd'"]


async def test_matches_stand_below_the_search_that_found_them() -> None:
    output = {"matches": [{"text": "one: first\nmore", "score": 0.5}, {"text": "two: second", "score": 0.25}]}
    assert await lines_of(node_event(2, "NodeSucceeded", durationMs=7, output=output)) == [
        "  2.000 s  ask: SUCCEEDED in 7 ms",
        "             0.50  one: first",
        "             0.25  two: second",
    ]


async def test_on_a_terminal_what_is_said_stands_above_the_tree() -> None:
    file = io.StringIO()
    console = Console(file=file, width=60, force_terminal=True, color_system=None)
    screen = screen_of(RunView.of(read_run(opened())), console)
    assert isinstance(screen, TreeScreen)
    async with screen:
        screen.say("The server is gone.", "yellow")
    last = file.getvalue().rpartition("The server is gone.")[2]
    assert "hello  QUEUED" in last
