"""`user create` and `user reset-password`: accounts, directly in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.services import open_identity

if TYPE_CHECKING:
    from domain.identity import User
    from runtime.settings import Settings

_HERE = "command line"


async def create_user(settings: Settings, email: str, password: str, name: str | None) -> User:
    """Make an account with a workspace of its own, directly in the database: whoever may reach that needs no invitation.

    Raises:
        AlreadyExists: there is an account with this address.
        InvalidInput: address or password are not acceptable.
        DatabaseUnavailable: the database does not answer.
    """
    async with open_identity(settings.model_copy(update={"signup": "open"})) as identity:
        signed_in = await identity.sign_up(email, password, name, None, address=_HERE)
        await identity.sign_out(signed_in.principal, is_everywhere=True)
        return signed_in.principal.user


async def reset_password(settings: Settings, email: str, password: str) -> User:
    """Give an account a new password and end all its sessions: whoever may reach the database may do that.

    Raises:
        NotFound: there is no account with this address.
        InvalidInput: the password is not acceptable.
        Conflict: the password was changed at the same time.
        DatabaseUnavailable: the database does not answer.
    """
    async with open_identity(settings) as identity:
        return await identity.reset_password(email, password)
