"""Questions to one server over HTTP, as one caller: signs requests, renews tokens, tells faults apart."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from pydantic import ValidationError

from gql.client import operations
from gql.client.answers import Answer, check_user_errors
from gql.client.events import Event, OpenedRun, Usage, read_log_page, read_run, read_usage
from gql.client.faults import ClientFault, RequestRefused, ServerUnreachable, SignInNeeded
from gql.client.logins import Logins, Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.json_value import Json

_TIMEOUT = aiohttp.ClientTimeout(total=40.0, connect=10.0)
_ACCEPT = "application/graphql-response+json, application/json;q=0.9"
_UNAUTHENTICATED = "UNAUTHENTICATED"


class ApiClient:
    """One server and one caller; `tokens` of None = nobody, `logins` keeps renewed tokens for later processes."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, tokens: Tokens | None = None, logins: Logins | None = None
    ) -> None:
        self.http = http
        self.url = url.rstrip("/")
        self._tokens = tokens
        self._logins = logins
        self._renewing = asyncio.Lock()

    @property
    def tokens(self) -> Tokens | None:
        """The session that requests are sent with."""
        return self._tokens

    async def sign_up(self, email: str, password: str, name: str | None = None) -> Tokens:
        """Make an account and be it from now on.

        Raises:
            RequestRefused: sign-up is closed, or the address is taken.
            ServerUnreachable: no answer.
        """
        return self._become(await self.mutate(operations.SIGN_UP, {"email": email, "password": password, "name": name}))

    async def sign_in(self, email: str, password: str) -> Tokens:
        """Sign in and be that user from now on.

        Raises:
            RequestRefused: unknown account, wrong password, or too many attempts.
            ServerUnreachable: no answer.
        """
        return self._become(await self.mutate(operations.SIGN_IN, {"email": email, "password": password}))

    async def is_signed_in(self) -> bool:
        """Whether the server knows who we are; a token that has expired is renewed first.

        Raises:
            ServerUnreachable: no answer.
        """
        try:
            viewer = (await self.execute(operations.VIEWER)).get("viewer")
            if viewer is None:  # an expired token may be answered as nobody
                await self.renew(self._tokens)
                viewer = (await self.execute(operations.VIEWER)).get("viewer")
        except SignInNeeded:
            return False
        return viewer is not None

    async def open_run(self, run_id: str) -> OpenedRun:
        """Return the run with the snapshot that a view begins from.

        Raises:
            RequestRefused: there is no such run for this caller.
        """
        opened = await self._open_run(run_id)
        if opened.snapshot.status.is_finished and not opened.status.is_finished:
            # It ended while it was read: its output is not in what came first, and no event will follow to tell it.
            opened = await self._open_run(run_id)
        return opened

    async def read_log(self, run_id: str) -> list[Event]:
        """Return what the run's log holds, page by page, beside any stream.

        Raises:
            RequestRefused: there is no such run for this caller.
        """
        events: list[Event] = []
        after: str | None = None
        while True:
            run = (await self.execute(operations.READ_LOG, {"id": run_id, "after": after})).get("run")
            if run is None:
                raise RequestRefused(f"There is no run {run_id}.", "NOT_FOUND")
            page, after = read_log_page(run.get("events"))
            events += page
            if after is None:
                return events

    async def is_finished(self, run_id: str) -> bool:
        """Whether nothing will be added to the run's log any more; also when it is gone."""
        run: dict[str, Any] | None = (await self.execute(operations.IS_FINISHED, {"id": run_id})).get("run")
        return run is None or bool(run.get("isFinished"))

    async def usage_of(self, run_id: str) -> Usage:
        """Return what a run has used so far, together with the runs that it called; nothing when it is gone."""
        run: dict[str, Any] | None = (await self.execute(operations.RUN_USAGE, {"id": run_id})).get("run")
        return read_usage((run or {}).get("usage") or {})

    async def mutate(self, document: str, variables: Mapping[str, Json]) -> dict[str, Any]:
        """Send a mutation of one field and return its payload.

        Raises:
            RequestRefused: the payload has user errors, or the server refused the document.
            ServerUnreachable: no answer.
        """
        data = await self.execute(document, variables)
        payload: dict[str, Any] = next(iter(data.values()), None) or {}
        check_user_errors(payload)
        return payload

    async def execute(self, document: str, variables: Mapping[str, Json] | None = None) -> dict[str, Any]:
        """Send a query or mutation and return its data.

        Raises:
            RequestRefused: the server answered with errors.
            SignInNeeded: nobody is signed in, or the session has ended.
            ServerUnreachable: no answer.
        """
        used = self._tokens
        try:
            return await self._post(document, variables or {})
        except RequestRefused as refused:
            if refused.code != _UNAUTHENTICATED:
                raise
        await self.renew(used)
        try:
            return await self._post(document, variables or {})
        except RequestRefused as refused:
            if refused.code == _UNAUTHENTICATED:
                raise SignInNeeded from refused
            raise

    async def renew(self, used: Tokens | None) -> None:
        """Trade the refresh token, unless somebody has done so since `used` was current.

        Raises:
            SignInNeeded: there is no refresh token, or it is not accepted any more.
        """
        async with self._renewing, self._logins.locked() if self._logins else contextlib.nullcontext():
            if self._logins is not None:
                stored = await asyncio.to_thread(self._logins.find, self.url)
                self._tokens = stored or self._tokens
            if self._tokens is None or self._tokens.refresh_token is None:
                raise SignInNeeded
            if self._tokens != used:
                return
            await self._trade(self._tokens.refresh_token)

    async def _open_run(self, run_id: str) -> OpenedRun:
        run = (await self.execute(operations.OPEN_RUN, {"id": run_id})).get("run")
        if run is None:
            raise RequestRefused(f"There is no run {run_id}.", "NOT_FOUND")
        return read_run(run)

    async def _trade(self, refresh_token: str) -> None:
        try:
            data = await self._post(operations.REFRESH, {"refreshToken": refresh_token}, is_signed=False)
        except RequestRefused as refused:
            raise SignInNeeded from refused
        payload: dict[str, Any] = data.get("refreshSession") or {}
        if payload.get("userErrors"):
            raise SignInNeeded
        tokens = self._become(payload)
        if self._logins is not None:
            await asyncio.to_thread(self._logins.save, self.url, tokens)

    def _become(self, payload: Mapping[str, Any]) -> Tokens:
        try:
            self._tokens = Tokens.model_validate(
                {
                    "access_token": payload.get("accessToken"),
                    "refresh_token": payload.get("refreshToken"),
                    "expires_at": payload.get("expiresAt"),
                }
            )
        except ValidationError as error:
            raise ClientFault("The server gave no access token.") from error
        return self._tokens

    async def _post(self, document: str, variables: Mapping[str, Json], *, is_signed: bool = True) -> dict[str, Any]:
        headers = {"accept": _ACCEPT, "content-type": "application/json"}
        if is_signed and self._tokens is not None:
            headers["authorization"] = f"Bearer {self._tokens.access_token}"
        body = orjson.dumps({"query": document, "variables": variables})
        try:
            async with self.http.post(f"{self.url}/graphql", data=body, headers=headers, timeout=_TIMEOUT) as answer:
                return _data(answer.status, await answer.read(), self.url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.url, error) from error


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """Return the fault for a server that does not answer."""
    # What aiohttp says of a connection that failed names the address again, and sockets and TLS that nobody asked about.
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    why = os.strerror(number) if number and number > 0 else str(getattr(cause, "strerror", None) or cause)
    why = why or type(error).__name__
    return ServerUnreachable(f"No answer from {url} ({why}); is `anabranch dev` or `anabranch serve` running there?")


def _data(status: int, body: bytes, url: str) -> dict[str, Any]:
    try:
        answer = Answer.model_validate_json(body)
    except ValidationError:
        answer = None
    if answer is None or not answer.model_fields_set:
        raise ClientFault(f"{url}/graphql does not answer as Anabranch does (HTTP {status}).")
    return answer.checked()
