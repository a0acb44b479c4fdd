"""A run's events over sockets that break: each once, in order, from the last cursor on."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from gql import GraphQLRequest
from gql.transport.exceptions import TransportError, TransportQueryError
from websockets.exceptions import ConnectionClosed

from client import Anabranch, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# Long enough for a server that is started again.
RETRIES = 12
LONGEST_WAIT_S = 10.0
FORBIDDEN = 4403
# What the server closes with when coming again is in vain.
FINAL = {4400, 4401, FORBIDDEN, 4406, 4409, 4429}
# Errors of the server that may be gone the next time.
PASSING = {"SERVICE_UNAVAILABLE", "TIMEOUT", "INTERNAL_SERVER_ERROR"}
EVENTS = """
subscription Events($runId: ID!, $after: String) {
  runEvents(runId: $runId, after: $after) {
    __typename
    cursor
    seq
    ... on NodeEvent { nodeKey }
    ... on NodeOutputDelta { text }
  }
}
"""


async def follow(anabranch: Anabranch, run_id: str) -> AsyncGenerator[dict[str, Any]]:
    """Yield the events of a run until its last. Raises `Refused`."""
    after: str | None = None
    failures = 0
    while True:
        try:
            async with anabranch.socket() as session:
                request = GraphQLRequest(EVENTS, variable_values={"runId": run_id, "after": after})
                async with aclosing(session.subscribe(request)) as answers:
                    async for data in answers:
                        after, failures = data["runEvents"]["cursor"], 0
                        yield data["runEvents"]
        except (TransportError, TimeoutError) as error:
            failures += 1
            await recover(error, failures)
        else:
            return  # `complete` was said: nothing comes behind the last event


async def recover(error: Exception, failures: int) -> None:
    """Wait before the next attempt, longer each time. Raises `Refused` where there should be none."""
    reason, may_pass = explain(error)
    if not may_pass or failures > RETRIES:
        raise Refused(reason) from error
    print(reason, file=sys.stderr)
    await asyncio.sleep(min(LONGEST_WAIT_S, 0.1 * 2**failures) * random.uniform(0.5, 1))


def explain(error: Exception) -> tuple[str, bool]:
    """Return what to say of an error, and whether trying again may help."""
    if isinstance(error, TransportQueryError):
        # The server's word about the subscription, such as CURSOR_EXPIRED.
        errors = error.errors or []
        codes = {one.get("extensions", {}).get("code") for one in errors}
        return "; ".join(str(one["message"]) for one in errors), codes <= PASSING
    cause = error.__cause__ or error
    if isinstance(cause, ConnectionClosed):
        code = cause.rcvd.code if cause.rcvd else 1006  # nothing was said
        if code == FORBIDDEN:
            return "The server does not accept ANABRANCH_TOKEN any more.", False
        return f"The websocket was closed ({code}).", code not in FINAL
    return f"The websocket broke or cannot be opened: {str(cause) or type(cause).__name__}", True
