"""What every resolver gets: services, loaders and who calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import strawberry

from domain.errors import Unauthenticated
from gql.loaders import Loaders

if TYPE_CHECKING:
    from strawberry.types.graphql import OperationType

    from domain.identity import Principal
    from gql.cookies import Cookies
    from runtime.services import Services


class Context:
    """The surroundings of one operation; each operation on a websocket has its own."""

    def __init__(
        self,
        services: Services,
        principal: Principal | None = None,
        *,
        address: str = "",
        is_credential_refused: bool = False,
        cookies: Cookies | None = None,
        origin: str | None = None,
    ) -> None:
        self.services = services
        self.address = address
        """The caller's network address, for rate limits and the audit log."""
        self.maybe_principal = principal
        self.is_credential_refused = is_credential_refused
        """Whether a token was sent that is not, or no longer, valid."""
        self.cookies = cookies
        """The browser's session; None on a websocket, where no cookie can be set."""
        self.origin = origin
        """Where the caller reached the server, such as `https://flows.example.com`; None on a websocket."""
        self.retry_after_s: float | None = None
        """When to try again what was refused for coming too often."""
        self.loaders: Loaders[Context] = Loaders(self)
        self.operation_type: OperationType | None = None
        """What is executed; known once the document is parsed."""
        self.operation_name: str | None = None
        """What the document calls it."""

    @property
    def maybe_principal(self) -> Principal | None:
        """Who calls; None if nobody is signed in."""
        return self._principal

    @maybe_principal.setter
    def maybe_principal(self, principal: Principal | None) -> None:
        self._principal = None if principal is None else replace(principal, address=self.address or None)

    @property
    def principal(self) -> Principal:
        """Who calls.

        Raises:
            Unauthenticated: nobody is signed in.
        """
        if self.maybe_principal is None:
            if self.is_credential_refused:
                raise Unauthenticated("The access token is not valid or no longer; refresh the session or sign in.")
            raise Unauthenticated
        return self.maybe_principal

    def address_of_pages(self) -> str:
        """Return where people open the pages: as configured, else where the caller reached the server."""
        return self.services.settings.address(self.origin)


Info: TypeAlias = strawberry.Info[Context, None]
