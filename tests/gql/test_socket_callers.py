"""Operations of a socket that begin together share one look at who calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from uuid import UUID

from domain.errors import DatabaseUnavailable
from domain.identity import Role
from domain.ids import WorkspaceId
from gql import sessions as sessions_of_sockets
from gql.sessions import Caller
from tests.support.graphql_socket import opened
from tests.support.probe import Sessions, probe_settings, probing
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from domain.identity import Principal
    from runtime.services import Services


@dataclass
class Held(Sessions):
    """Looks wait until they are let go."""

    free: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    looks: int = 0

    def __post_init__(self) -> None:
        self.free.set()

    async def authenticate(self, access_token: str) -> Principal:
        """Return who calls, or fail, when it may."""
        self.looks += 1
        await self.free.wait()
        if self.fault is not None:
            raise self.fault
        return await super().authenticate(access_token)


async def test_operations_that_wait_for_the_same_look_all_begin_with_the_rights_that_it_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions_of_sockets, "_BELIEVED_S", 0.0)
    async with probing(probe_settings(session_check_s=600), Held()) as probe, opened(probe) as socket:
        held = cast("Held", probe.sessions)
        token, _ = held.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        held.free.clear()
        for id_ in ("1", "2", "3"):
            await socket.subscribe(id_, "subscription {mine}")
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        held.roles[WorkspaceId(UUID(int=7))] = Role.EDITOR
        held.free.set()
        told = [await socket.receive() for _ in range(3)]
        assert {(message["id"], message["type"]) for message in told} == {(id_, "next") for id_ in ("1", "2", "3")}
        assert held.looks == 2


async def test_all_who_wait_for_a_look_hear_at_once_that_the_database_does_not_answer() -> None:
    held = Held()
    token, _ = held.sign_in()
    caller = Caller(cast("Services", SimpleNamespace(identity=held)), token, await held.authenticate(token))
    held.free.clear()
    waiting = [asyncio.create_task(caller.again()) for _ in range(100)]
    await until(lambda: held.looks == 2)
    waiting.pop().cancel()
    held.fault = DatabaseUnavailable("down")
    held.free.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [DatabaseUnavailable] * 99
    assert held.looks == 2
    held.fault = None
    assert await caller.again() is not None


async def test_a_socket_whose_session_cannot_be_checked_is_closed_so_that_its_client_comes_again() -> None:
    held = Held()
    async with probing(probe_settings(session_check_s=0.05), held) as probe, opened(probe) as socket:
        token, _ = held.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        held.fault = RuntimeError("a fault of ours")
        assert await socket.closed() == (1013, "The session cannot be checked; connect again")
