from __future__ import annotations

import io

import aiohttp
from rich.console import Console

from domain.run import RunStatus
from gql.client.logins import Tokens
from gql.client.session import ApiClient
from gql.watch import watch
from tests.support.fake_api import RUN, FakeApi, opened, serving


async def test_a_terminal_shows_the_tree_and_the_text_as_it_grows() -> None:
    api = FakeApi(answers={"OpenRun": {"run": opened()}}, breaks=[4])
    screen = io.StringIO()
    console = Console(file=screen, width=100, force_terminal=True, color_system=None)
    async with serving(api), aiohttp.ClientSession() as http:
        view = await watch(ApiClient(http, api.url, Tokens(access_token="first")), RUN, console)
    shown = screen.getvalue()
    assert view.status is RunStatus.SUCCEEDED
    assert "Connection lost" in shown
    last = shown[shown.rindex("hello  SUCCEEDED") :]
    assert "✔ Ask  LLM_CALL" in last
    assert "Hello world" in last
    assert api.cursors == ["c1", "c5"]
