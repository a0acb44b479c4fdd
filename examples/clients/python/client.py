"""Queries and mutations of Anabranch over HTTP; subscriptions over one websocket for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportError, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REQUEST_TIMEOUT_S = 30
PING_EVERY_S = 10


class Refused(Exception):
    """Told to the person at the keyboard, without a traceback."""


@dataclass(frozen=True)
class Anabranch:
    """A server, and the API key that is shown to it."""

    url: str
    token: str

    async def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Send a query or a mutation; return its data. Raises `Refused`."""
        headers = {"Authorization": f"Bearer {self.token}"}
        transport = HTTPXAsyncTransport(url=f"{self.url}/graphql", headers=headers, timeout=REQUEST_TIMEOUT_S)
        try:
            async with Client(transport=transport) as session:
                return await session.execute(GraphQLRequest(document, variable_values=variables))
        except TransportQueryError as error:
            raise Refused("; ".join(str(one["message"]) for one in error.errors or [])) from error
        except TransportConnectionFailed as error:
            raise Refused(f"{self.url}/graphql cannot be reached: {error.__cause__ or error}") from error
        except TransportError as error:
            # A proxy's word, or another server's.
            raise Refused(f"{self.url}/graphql answered: {str(error).partition(chr(10))[0]}") from error

    def socket(self) -> Client:
        """Return a websocket that is not open yet; entering it connects."""
        transport = WebsocketsTransport(
            url=f"{self.url.replace('http', 'ws', 1)}/graphql",
            init_payload={"authorization": f"Bearer {self.token}"},
            subprotocols=["graphql-transport-ws"],
            # A network that is gone says nothing by itself.
            ping_interval=PING_EVERY_S,
        )
        return Client(transport=transport)


def refuse(errors: Sequence[Mapping[str, Any]]) -> None:
    """Raise what the caller may do better: `userErrors` are data of the answer, not errors of GraphQL."""
    if not errors:
        return
    lines: list[str] = []
    for error in errors:
        place = f" at {'.'.join(error['path'])}" if error.get("path") else ""
        lines.append(f"{error['code']}{place}: {error['message']}")
        lines += [f"  {one['nodeKey'] or 'graph'}: {one['message']}" for one in error.get("problems", ())]
    raise Refused("\n".join(lines))
