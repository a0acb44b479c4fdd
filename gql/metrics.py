"""`/metrics`: what Prometheus reads. Whoever may read it learns how much is done here, and nothing of whom or what."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from runtime.health import Health
    from runtime.services import Services
    from runtime.settings import Settings

_MEDIA_TYPE: Final = "text/plain; version=0.0.4"
_DATABASE_TIMEOUT_S: Final = 3.0


def route(settings: Settings, services: Callable[[], Services]) -> Route:
    """Return the route."""

    async def metrics(request: Request) -> Response:
        refusal = _refusal(request, settings)
        if refusal is not None:
            return refusal
        own = await asyncio.to_thread(services().metrics.exposition)
        shared = await _shared(services().health)
        return Response(own + shared, media_type=_MEDIA_TYPE, headers={"Cache-Control": "no-store"})

    return Route("/metrics", metrics)


def _refusal(request: Request, settings: Settings) -> Response | None:
    if settings.metrics_token is None:
        told = "Set ANABRANCH_METRICS_TOKEN to read the metrics of a server that others can reach."
        is_local = settings.is_loopback and not settings.trusted_proxies  # a proxy would pass it on to the world
        return None if is_local else PlainTextResponse(told, 403)
    expected = f"Bearer {settings.metrics_token.get_secret_value()}".encode()
    given = request.headers.get("authorization", "").encode()
    if secrets.compare_digest(given, expected):
        return None
    return PlainTextResponse("Send ANABRANCH_METRICS_TOKEN as a bearer token.", 401, {"WWW-Authenticate": "Bearer"})


async def _shared(health: Health) -> bytes:
    """Return what all processes have in common, read from the database in this moment."""
    registry = CollectorRegistry()
    try:
        async with asyncio.timeout(_DATABASE_TIMEOUT_S):
            counts = await health.unfinished()
    except TimeoutError:
        counts = None
    up = Gauge("anabranch_database_up", "Whether the database answers.", registry=registry)
    up.set(counts is not None)
    if counts is not None:
        runs = Gauge("anabranch_runs", "Runs of all processes that have not ended.", ["status"], registry=registry)
        for status, count in counts.items():
            runs.labels(status.value.lower()).set(count)
    return generate_latest(registry)
