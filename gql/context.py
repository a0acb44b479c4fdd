"""What every resolver gets: services, loaders and who calls."""

from __future__ import annotations

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
    ) -> None:
        self.services = services
        self.maybe_principal = principal
        self.address = address
        """The caller's network address, for rate limits."""
        self.is_credential_refused = is_credential_refused
        """Whether a token was sent that is not, or no longer, valid."""
        self.cookies = cookies
        """The browser's session; None on a websocket, where no cookie can be set."""
        self.loaders: Loaders[Context] = Loaders(self)
        self.operation_type: OperationType | None = None
        """What is executed; known once the document is parsed."""

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


Info: TypeAlias = strawberry.Info[Context, None]
