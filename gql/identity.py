"""People, sessions and workspaces."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import strawberry

from domain import identity as domain
from domain.errors import InvalidToken
from domain.identity import Permission, Scope
from gql.absent import ABSENT, or_none
from gql.api_keys import ApiKeysOfViewer
from gql.context import Info
from gql.fields import mutation, query
from gql.paging import After, Before, First, Last, page_request
from gql.payloads import Payload
from gql.users import User
from gql.workspaces import Workspace, WorkspaceConnection

if TYPE_CHECKING:
    from runtime.identity import SignedIn


@strawberry.type(description="The signed-in caller.")
class Viewer(ApiKeysOfViewer):
    """The signed-in caller."""

    user: User = strawberry.field(description="The person, or the owner of the API key.")
    scopes: list[Scope] = strawberry.field(
        description="What this credential may do; a session may do everything its roles allow. One of each at most."
    )

    @strawberry.field(description="The workspaces that the caller is a member of, by name.")
    async def workspaces(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> WorkspaceConnection:
        """List the caller's workspaces."""
        actor = info.context.principal
        page = await info.context.services.identity.page_workspaces(actor, page_request(first, after, last, before))

        async def count() -> int:
            return len(actor.roles)

        return WorkspaceConnection.of(page, lambda workspace: Workspace.of(workspace, actor), count)

    @classmethod
    def of(cls, actor: domain.Principal) -> Viewer:
        """Convert the caller."""
        return cls(user=User.of(actor.user), scopes=[scope for scope in Scope if scope in actor.scopes])


@strawberry.input(description="What `signUp` takes.")
class SignUpInput:
    """What `signUp` takes."""

    email: str = strawberry.field(description="The address to sign in with; upper and lower case are equal.")
    password: str = strawberry.field(description="At least 10 characters.")
    name: str | None = strawberry.field(default=ABSENT, description="The name to show.")
    invite_token: str | None = strawberry.field(
        default=ABSENT,
        description="The token of an invitation, or of the set-up link that the server prints while it has no account.",
    )


@strawberry.input(description="What `signIn` takes.")
class SignInInput:
    """What `signIn` takes."""

    email: str = strawberry.field(description="The account's address.")
    password: str = strawberry.field(description="The account's password.")


@strawberry.input(description="What `refreshSession` takes.")
class RefreshSessionInput:
    """What `refreshSession` takes."""

    refresh_token: str | None = strawberry.field(
        default=ABSENT, description="The refresh token; browsers leave it out and send their cookie."
    )


@strawberry.input(description="What `signOut` takes.")
class SignOutInput:
    """What `signOut` takes."""

    is_everywhere: bool = strawberry.field(default=False, description="Whether all sessions end, on all devices.")


@strawberry.input(description="What `changePassword` takes.")
class ChangePasswordInput:
    """What `changePassword` takes."""

    current_password: str = strawberry.field(description="The password until now.")
    new_password: str = strawberry.field(description="The password from now on; at least 10 characters.")


@strawberry.type
class SessionPayload(Payload):
    """What the three ways to tokens give; each has a type of its own in the schema."""

    viewer: Viewer | None = strawberry.field(default=None, description="Who is signed in now; null after an error.")
    access_token: str | None = strawberry.field(
        default=None,
        description="Goes into `Authorization: Bearer …` and into `connection_init`; browsers get a cookie as well.",
    )
    refresh_token: str | None = strawberry.field(default=None, description="Good for one `refreshSession`.")
    expires_at: datetime | None = strawberry.field(default=None, description="When the access token stops working.")


@strawberry.type(description="What `signUp` gives.")
class SignUpPayload(SessionPayload):
    """What `signUp` gives."""


@strawberry.type(description="What `signIn` gives.")
class SignInPayload(SessionPayload):
    """What `signIn` gives."""


@strawberry.type(description="What `refreshSession` gives.")
class RefreshSessionPayload(SessionPayload):
    """What `refreshSession` gives."""


@strawberry.type(description="What `signOut` gives.")
class SignOutPayload(Payload):
    """What `signOut` gives."""

    ended_session_count: int | None = strawberry.field(default=None, description="How many sessions ended.")


@strawberry.type(description="What `changePassword` gives.")
class ChangePasswordPayload(Payload):
    """What `changePassword` gives."""

    user: User | None = strawberry.field(default=None, description="The caller.")


Begun = TypeVar("Begun", bound=SessionPayload)


def _begun(info: Info, payload: type[Begun], signed_in: SignedIn) -> Begun:
    """Give the tokens to the client, and let the rest of the operation be the one who signed in."""
    info.context.maybe_principal = signed_in.principal
    if info.context.cookies is not None:
        info.context.cookies.keep(signed_in)
    return payload(
        viewer=Viewer.of(signed_in.principal),
        access_token=signed_in.access_token,
        refresh_token=signed_in.refresh_token,
        expires_at=signed_in.expires_at,
    )


@strawberry.type
class IdentityQuery:
    """Who is signed in, and where."""

    @query(Permission.PUBLIC, description="Who is signed in; null if nobody.")
    async def viewer(self, info: Info) -> Viewer | None:
        """Tell who calls."""
        actor = info.context.maybe_principal
        return Viewer.of(actor) if actor else None


@strawberry.type
class IdentityMutation:
    """Signing up, in and out."""

    @mutation(
        Permission.PUBLIC,
        description="Makes an account and signs in; the first account owns the first workspace, later ones need an "
        "invitation unless sign-up is open.",
    )
    async def sign_up(
        self,
        info: Info,
        input: Annotated[SignUpInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> SignUpPayload:
        """Make an account."""
        signed_in = await info.context.services.identity.sign_up(
            input.email, input.password, or_none(input.name), or_none(input.invite_token), address=info.context.address
        )
        return _begun(info, SignUpPayload, signed_in)

    @mutation(Permission.PUBLIC, description="Signs in.")
    async def sign_in(
        self,
        info: Info,
        input: Annotated[SignInInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> SignInPayload:
        """Begin a session."""
        signed_in = await info.context.services.identity.sign_in(
            input.email, input.password, address=info.context.address
        )
        return _begun(info, SignInPayload, signed_in)

    @mutation(
        Permission.PUBLIC,
        description="Trades a refresh token for new tokens; a token that comes twice ends all its sessions.",
    )
    async def refresh_session(
        self,
        info: Info,
        input: Annotated[RefreshSessionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RefreshSessionPayload:
        """Go on with a session."""
        cookies = info.context.cookies
        token = input.refresh_token or (cookies.refresh_token if cookies else None)
        if token is None:
            raise InvalidToken("No refresh token was sent.", path=["input", "refreshToken"])
        signed_in = await info.context.services.identity.refresh(token, address=info.context.address)
        return _begun(info, RefreshSessionPayload, signed_in)

    @mutation(Permission.SIGNED_IN, description="Ends the session, or all sessions of the caller.")
    async def sign_out(
        self,
        info: Info,
        input: Annotated[SignOutInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> SignOutPayload:
        """End sessions."""
        ended = await info.context.services.identity.sign_out(info.context.principal, is_everywhere=input.is_everywhere)
        if info.context.cookies is not None:
            info.context.cookies.forget()
        info.context.maybe_principal = None
        return SignOutPayload(ended_session_count=ended)

    @mutation(Permission.SIGNED_IN, description="Changes the caller's password and ends all other sessions.")
    async def change_password(
        self,
        info: Info,
        input: Annotated[ChangePasswordInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> ChangePasswordPayload:
        """Change the password."""
        user = await info.context.services.identity.change_password(
            info.context.principal, input.current_password, input.new_password
        )
        return ChangePasswordPayload(user=User.of(user))
