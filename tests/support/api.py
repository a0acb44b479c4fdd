"""The API without a socket: documents are executed against real services as a given caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response

from gql.context import Context
from gql.cookies import Cookies

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from domain.identity import Principal
    from gql.schema import Schema
    from runtime.services import Services


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets."""

    data: Any
    errors: list[dict[str, Any]]
    set_cookies: list[str]

    @property
    def codes(self) -> list[str]:
        """The codes of the top-level errors."""
        return [error.get("extensions", {}).get("code", "") for error in self.errors]


class Api:
    """Executes documents."""

    def __init__(self, schema: Schema, services: Services) -> None:
        self.schema = schema
        self.services = services

    async def run(
        self,
        document: str,
        variables: Mapping[str, object] | None = None,
        *,
        caller: Principal | None = None,
        cookies: Mapping[str, str] | None = None,
        is_secure: bool = False,
    ) -> Answer:
        """Execute a query or mutation as an HTTP request would."""
        response = Response()
        context = Context(
            self.services, caller, address="192.0.2.1", cookies=Cookies(cookies or {}, response, is_secure=is_secure)
        )
        result = await self.schema.execute(document, dict(variables or {}), context)
        return Answer(
            result.data,
            _formatted(result),
            [value.decode() for name, value in response.raw_headers if name == b"set-cookie"],
        )

    async def first(
        self,
        document: str,
        variables: Mapping[str, object] | None = None,
        *,
        caller: Principal | None = None,
        timeout_s: float,
    ) -> Answer | None:
        """Subscribe and return the first answer; None if there is none in time, or the stream ends without one."""
        context = Context(self.services, caller, address="192.0.2.1")
        found = await self.schema.subscribe(document, dict(variables or {}), context_value=context)
        if not hasattr(found, "__anext__"):
            return _answer(found)
        stream = cast("AsyncGenerator[Any]", found)
        try:
            async with asyncio.timeout(timeout_s):
                return _answer(await anext(stream))
        except (TimeoutError, StopAsyncIteration):
            return None
        finally:
            await stream.aclose()

    async def stream(
        self, document: str, variables: Mapping[str, object], *, caller: Principal | None, silence_s: float
    ) -> AsyncGenerator[Answer]:
        """Subscribe and yield what comes, until nothing does for so long."""
        context = Context(self.services, caller, address="192.0.2.1")
        found = await self.schema.subscribe(document, dict(variables), context_value=context)
        if not hasattr(found, "__anext__"):
            yield _answer(found)
            return
        stream = cast("AsyncGenerator[Any]", found)
        try:
            while True:
                async with asyncio.timeout(silence_s):
                    result = await anext(stream)
                yield _answer(result)
        except (TimeoutError, StopAsyncIteration):
            return
        finally:
            await stream.aclose()


def _answer(result: Any) -> Answer:
    return Answer(result.data, _formatted(result), [])


def _formatted(result: Any) -> list[dict[str, Any]]:
    errors: list[Any] = result.errors or []
    return [error.formatted for error in errors]
