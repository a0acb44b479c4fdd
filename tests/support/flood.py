"""A flood from another address of this machine, in a process of its own that gives way to all others.

`python -m tests.support.flood URL sign-ins|sockets COUNT AT_ONCE` prints how often each status came, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter

import aiohttp

_FROM = "127.0.0.2"
_SIGN_IN = "mutation($i: SignInInput!) { signIn(input: $i) { userErrors { code } } }"


async def flood(url: str, what: str, count: int, at_once: int) -> dict[str, int]:
    """Send `count` of them, `at_once` at a time."""
    told: Counter[str] = Counter()
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(local_addr=(_FROM, 0), limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300)) as session:
        send = {"sign-ins": _sign_in, "sockets": _open_socket}[what]

        async def attacker() -> None:
            for number in numbers:
                told[await send(session, url, number)] += 1

        await asyncio.gather(*(attacker() for _ in range(at_once)))
    return dict(told)


async def _sign_in(session: aiohttp.ClientSession, url: str, number: int) -> str:
    body = {"query": _SIGN_IN, "variables": {"i": {"email": f"a{number}@example.com", "password": "a wrong password"}}}
    async with session.post(url, json=body) as answer:
        told = await answer.json(content_type=None)
    errors = told.get("errors")
    code = errors[0]["extensions"]["code"] if errors else told["data"]["signIn"]["userErrors"][0]["code"]
    return f"{answer.status} {code}"


async def _open_socket(session: aiohttp.ClientSession, url: str, number: int) -> str:
    del number
    try:
        socket = await session.ws_connect(url, protocols=["graphql-transport-ws"])
    except aiohttp.WSServerHandshakeError as error:
        return str(error.status)
    async for _ in socket:  # until the server has waited long enough for the first word
        pass
    return "opened"


if __name__ == "__main__":
    os.nice(19)  # an attacker does not take the victim's processors
    given = sys.argv
    json.dump(asyncio.run(flood(given[1], given[2], int(given[3]), int(given[4]))), sys.stdout)
