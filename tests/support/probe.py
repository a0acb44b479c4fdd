"""A small API for tests of the server's manners: real schema mechanics, real transport, real tokens, no database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator  # noqa: TC003 - Strawberry reads annotations at run time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import uuid4

import strawberry

from domain.errors import Forbidden, LimitExceeded, Unauthenticated
from domain.identity import Permission, Principal, Role, User
from domain.ids import SessionId, UserId, WorkspaceId
from domain.ports.paging import Page
from domain.run import RunStatus
from gql.app import create_app, listen, server
from gql.context import Info  # noqa: TC001 - the same
from gql.errors import ForbiddenError, InvalidInputError, LimitError, NotFoundError, UserError
from gql.fields import mutation, query
from gql.nodes import NodesQuery
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.schema import Schema
from gql.server import ServerQuery, ServerSubscription
from runtime.metrics import Metrics
from runtime.settings import ApiSettings, Settings
from runtime.tokens import AccessTokens
from tests.support.probe_subscriptions import ProbeSubscription
from tests.support.probe_types import Thing, Witness, thing, witness_of

if TYPE_CHECKING:
    import socket

    import uvicorn
    from starlette.applications import Starlette

    from runtime.services import Services

TOKEN_KEY = "probe" * 8
_LAST_TURNS = 20
_schemas: dict[str, Schema] = {}
OTHER_KEY = "other" * 8


@dataclass
class Sessions:
    """Who is signed in: the part of the identity service that transport needs, with the real tokens."""

    lifetime_s: float = 900
    ended: set[SessionId] = field(default_factory=set[SessionId])
    roles: dict[WorkspaceId, Role] = field(default_factory=dict[WorkspaceId, Role])
    asked: int = 0
    is_sign_up_open: bool = True

    def sign_in(self, key: str = TOKEN_KEY) -> tuple[str, SessionId]:
        """Begin a session and return its token, signed with a key."""
        session_id = SessionId(uuid4())
        tokens = AccessTokens([key], clock=_now, lifetime_s=self.lifetime_s)
        token, _ = tokens.issue(UserId(uuid4()), session_id)
        return token, session_id

    async def authenticate(self, access_token: str) -> Principal:
        """Return who calls."""
        self.asked += 1
        claims = AccessTokens([TOKEN_KEY], clock=_now).verify(access_token)
        if claims.session_id in self.ended:
            raise Unauthenticated
        user = User(claims.user_id, "ada@example.com", "Ada", datetime(2026, 1, 1, tzinfo=UTC))
        return Principal(user, claims.session_id, claims.expires_at, dict(self.roles))

    async def is_setup_needed(self) -> bool:
        """Tell that there are accounts."""
        return False


def _now() -> datetime:
    return datetime.now(UTC)


@strawberry.type(description="A thing on a page.")
class ThingEdge(Edge[Thing]):
    """A thing on a page."""

    node: Thing = strawberry.field(description="The thing.")


@strawberry.type(description="Things, page by page.")
class ThingConnection(Connection[Thing, ThingEdge]):
    """Things, page by page."""


@strawberry.input(description="What is asked for.")
class ProbeInput:
    """What is asked for."""

    text: str = strawberry.field(description="Any text.")
    names: list[str] = strawberry.field(default_factory=list, description="Any names.")


@strawberry.type(description="What `probe` gives.")
class ProbePayload:
    """What `probe` gives."""

    text: str | None = strawberry.field(default=None, description="The text.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="What went wrong.")


@strawberry.type
class ProbeQuery:
    """Fields that misbehave on request."""

    @query(Permission.READ, description="The caller's name.")
    async def whoami(self, info: Info) -> str:
        return info.context.principal.user.name

    @query(Permission.PUBLIC, description="Fails in a way nobody foresaw.")
    async def boom(self) -> str:
        raise RuntimeError("postgresql://user:hunter2@db.internal/secret")

    @query(Permission.PUBLIC, description="Fails, and may.")
    async def maybe_boom(self) -> str | None:
        raise RuntimeError("postgresql://user:hunter2@db.internal/secret")

    @query(Permission.PUBLIC, description="Never answers.")
    async def never(self, info: Info) -> str:
        witness = witness_of(info)
        witness.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            witness.cancelled.set()
        return ""

    @query(Permission.PUBLIC, description="What JSON cannot hold easily.")
    async def odd(self) -> strawberry.scalars.JSON:
        return cast("strawberry.scalars.JSON", {"half": "\ud83d", "big": 2**70})

    @query(Permission.PUBLIC, description="Things.")
    async def things(
        self,
        info: Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> ThingConnection:
        request = page_request(first, after, last, before)
        names = ["a", "b", "c"][: request.limit]

        async def count() -> int:
            witness_of(info).counted += 1
            return 3

        return ThingConnection.of(Page(names, names, has_next=len(names) < 3, has_previous=False), thing, count)


@strawberry.type
class ProbeMutation:
    """Mutations that fail on request."""

    @mutation(Permission.PUBLIC, description="Fails as its text says.")
    async def probe(
        self,
        input: Annotated[ProbeInput, strawberry.argument(description="What is asked for.")],  # noqa: A002 - GraphQL's word
    ) -> ProbePayload:
        match input.text:
            case "forbidden":
                raise Forbidden
            case "limit":
                raise LimitExceeded("Too many things.", limit=3, actual=4, path=["input", "names"])
            case "boom":
                raise RuntimeError("hunter2")
            case _:
                return ProbePayload(text=input.text)

    @mutation(Permission.WRITE, description="Waits until it may go on.")
    async def slow(self, info: Info) -> ProbePayload:
        witness = witness_of(info)
        witness.started.set()
        await witness.go_on.wait()
        witness.finished.set()
        return ProbePayload(text="done")


@strawberry.type
class Query(ServerQuery, NodesQuery, ProbeQuery):
    """Reading."""


@strawberry.type
class Subscription(ServerSubscription, ProbeSubscription):
    """Watching."""


def probe_settings(*, is_development: bool = False, allowed_origins: tuple[str, ...] = (), **limits: Any) -> Settings:
    """Return settings with limits of the API."""
    return Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        port=0,
        is_development=is_development,
        shutdown_timeout_s=1,
        api=ApiSettings(allowed_origins=allowed_origins, **limits),
    )


def probe_schema(settings: Settings) -> Schema:
    """Return the schema, built once for each settings."""
    key = settings.model_dump_json()
    if key not in _schemas:
        _schemas[key] = _build_schema(settings)
    return _schemas[key]


def _build_schema(settings: Settings) -> Schema:
    types = (InvalidInputError, NotFoundError, LimitError, ForbiddenError, Thing)
    return Schema(settings=settings, query=Query, mutation=ProbeMutation, subscription=Subscription, types=types)


@dataclass
class Probe:
    """A running server."""

    url: str
    sessions: Sessions
    witness: Witness
    serving: uvicorn.Server
    services: Services

    async def left_alone(self) -> None:
        """Wait until the server has seen that no client is there any more, and has done what it does about it."""
        async with asyncio.timeout(10):
            while self.serving.server_state.connections:
                await asyncio.sleep(0)
        for _ in range(_LAST_TURNS):
            await asyncio.sleep(0)

    @property
    def graphql(self) -> str:
        """The endpoint."""
        return f"{self.url}/graphql"

    @property
    def socket(self) -> str:
        """The endpoint for websockets."""
        return self.graphql.replace("http", "ws", 1)


def probe_services(sessions: Sessions, witness: Witness, settings: Settings) -> Services:
    """Return what the resolvers and probes of this API use."""

    async def reasons() -> list[str]:
        return witness.unready

    async def unfinished() -> dict[RunStatus, int] | None:
        return None if witness.unready else {RunStatus.QUEUED: 3}

    health = SimpleNamespace(reasons=reasons, unfinished=unfinished)
    made = SimpleNamespace(settings=settings, identity=sessions, witness=witness, health=health, metrics=Metrics())
    return cast("Services", made)


@asynccontextmanager
async def probing(
    settings: Settings | None = None, sessions: Sessions | None = None, address: str | None = None
) -> AsyncGenerator[Probe]:
    """Serve the API as `serve` does, on a free port, and where `address` says if not where the settings say."""
    settings = settings or probe_settings()
    sessions, witness = sessions or Sessions(), Witness()
    services = probe_services(sessions, witness, settings)

    @asynccontextmanager
    async def open_services(settings: Settings) -> AsyncGenerator[Services]:
        _ = settings
        yield services

    app = create_app(settings, open_services=open_services, schema=probe_schema(settings))
    with listen(settings.model_copy(update={"host": address or settings.host})) as listener:
        async with running(app, settings, listener) as serving:
            yield Probe(f"http://127.0.0.1:{listener.getsockname()[1]}", sessions, witness, serving, services)


async def _stop(serving: uvicorn.Server, listener: socket.socket) -> None:
    for _ in range(_LAST_TURNS):
        # Clients that have closed are seen in a few turns; uvicorn would wait a tenth of a second for them.
        await asyncio.sleep(0)
        if not serving.server_state.connections and not serving.server_state.tasks:
            for accepting in serving.servers:
                accepting.close()
            await serving.lifespan.shutdown()
            return
    await serving.shutdown([listener])


@asynccontextmanager
async def running(app: Starlette, settings: Settings, listener: socket.socket) -> AsyncGenerator[uvicorn.Server]:
    """Run a server with the options of `serve`, without the loop that looks for signals ten times a second."""
    serving = server(app, settings)
    serving.config.load()
    serving.lifespan = serving.config.lifespan_class(serving.config)
    await serving.startup([listener])
    await serving.on_tick(0)
    try:
        yield serving
    finally:
        await _stop(serving, listener)
