"""What every example of a client promises, whatever it is written in: the tests of the examples are made of this."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from tests.support.client_examples import event_lines, line_of
from tests.support.openai_endpoint import answer
from tests.support.server_process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.client_examples import Finished, ServedExample

BREAKS = 16
"""More than a program tries in vain."""


class Start(Protocol):
    """Run the program in an environment; `hear` gets each line as soon as it is printed."""

    async def __call__(
        self, environment: Mapping[str, str], hear: Callable[[str], None] = lambda _: None
    ) -> Finished: ...


async def keeps_each_event_once_and_in_order(start: Start, served: ServedExample) -> None:
    """Break the line off in mid-stream, again and again."""
    story = served.tell_a_story()
    done = await start(served.environment(), served.break_off)
    assert done.status == 0, done.complaints
    assert served.proxy.cuts == len(served.gates)
    assert done.complaints.count("The websocket was closed (1006).") >= served.proxy.cuts
    assert event_lines(done.lines) == [line_of(event) for event in await served.log()]
    run = await served.only_run()
    assert run["output"] == {"story": story}
    assert done.lines[0].startswith("viewer one (")
    assert f"run {run['id']}" in done.lines
    assert done.lines[-2] == f"listed {run['id']} SUCCEEDED"
    assert done.lines[-1].startswith("output {")
    assert "Part 0 “🌊”" in done.lines[-1]


async def keeps_them_though_sockets_are_closed(start: Start, served: ServedExample, code: int) -> None:
    """Have the websockets closed with a code in mid-stream, again and again."""
    served.tell_a_story()
    done = await start(served.environment(), lambda line: served.break_off(line, lambda: served.proxy.close(code)))
    assert (done.status, served.proxy.cuts) == (0, len(served.gates)), done.complaints
    assert event_lines(done.lines) == [line_of(event) for event in await served.log()]


async def keeps_them_though_the_line_breaks_at_each(start: Start, served: ServedExample) -> None:
    """Break the line off at each piece, more often than a program tries in vain, and again while it comes back."""
    gates = [asyncio.Event() for _ in range(BREAKS)]
    pieces = [f"piece {number}; " for number in range(BREAKS)]
    served.endpoint.script(answer(*(step for pair in zip(pieces, gates, strict=True) for step in pair)))
    again: list[asyncio.TimerHandle] = []

    def hear(line: str) -> None:
        for piece, gate in zip(pieces, gates, strict=True):
            if piece in line and not gate.is_set():
                gate.set()
                served.proxy.cut()
                again.append(asyncio.get_running_loop().call_later(0.15, served.proxy.cut))
                if gate is gates[-1]:
                    for one in again:
                        one.cancel()

    done = await start(served.environment(), hear)
    assert done.status == 0, done.complaints
    log = [line_of(event) for event in await served.log()]
    assert event_lines(done.lines) == log
    assert sum("NodeOutputDelta" in line for line in log) == BREAKS
    assert done.complaints.count("The websocket was closed (1006).") >= BREAKS


async def lists_all_pages(start: Start, served: ServedExample) -> None:
    """Run it five times: two runs are on a page."""
    for _ in range(4):
        done = await start(served.environment())
        assert done.status == 0, done.complaints
    done = await start(served.environment())
    runs = (await served.owner.ask("{ runs(first: 10) { nodes { id } } }"))["runs"]["nodes"]
    listed = [line.split()[1] for line in done.lines if line.startswith("listed ")]
    assert listed == [run["id"] for run in runs]
    assert len(listed) == 5


async def tells_of_a_run_that_fails(start: Start, served: ServedExample) -> None:
    """Let the model refuse."""
    served.refuse()
    done = await start(served.environment())
    assert done.status == 1
    assert event_lines(done.lines) == [line_of(event) for event in await served.log()]
    assert done.complaints.startswith("The run is FAILED: ")
    assert "no stories today" in done.complaints
    assert not [line for line in done.lines if line.startswith("output")]


async def tells_who_is_not_let_in(start: Start, served: ServedExample) -> None:
    """Come with a wrong token, none, one that may only read, and to a server that is not there."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    told = {
        "The server does not accept ANABRANCH_TOKEN: it is wrong, revoked or expired.": {"ANABRANCH_TOKEN": "ak_wrong"},
        "Set ANABRANCH_TOKEN to an API key with the scopes WRITE and EXECUTE.": {"ANABRANCH_TOKEN": ""},
        "FORBIDDEN: ": {"ANABRANCH_TOKEN": await served.make_key("READ")},
        f"{nowhere}/graphql cannot be reached: ": {"ANABRANCH_URL": nowhere},
        f"{served.url}/nowhere/graphql answered": {"ANABRANCH_URL": f"{served.url}/nowhere"},
    }
    for message, changes in told.items():
        done = await start(served.environment(**changes))
        assert done.complaints.startswith(message), done.complaints
        assert done.complaints.count("\n") == 1
        assert done.status == 1
        assert not event_lines(done.lines)


async def ends_when_its_key_is_revoked(start: Start, served: ServedExample) -> None:
    """Revoke the key while the model writes; the program comes back, and is told."""
    served.tell_a_story()
    heard = asyncio.Event()
    environment = served.environment()
    running = asyncio.create_task(start(environment, lambda line: heard.set() if "Delta" in line else None))
    async with asyncio.timeout(60):
        await heard.wait()
    await served.revoke_keys()
    served.proxy.cut()
    done = await running
    assert done.status == 1
    assert done.complaints.endswith("The server does not accept ANABRANCH_TOKEN any more.\n")
