"""People, as all features show them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import strawberry

from domain import identity as domain
from domain.ids import Prefix, UserId
from gql.context import Context, Info
from gql.ids import to_id
from gql.lookup import register_node
from gql.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Sequence


@strawberry.type(description="A person.")
class User(Node):
    """A person."""

    id: strawberry.ID = strawberry.field(description="Its id.")
    email: str | None = strawberry.field(
        description="The address that the person signs in with; null for who shares no workspace with the caller."
    )
    name: str = strawberry.field(description="The name to show; the part before the @ until the person sets one.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @classmethod
    def of(cls, user: domain.User) -> User:
        """Convert a user of the domain."""
        return cls(id=to_id(Prefix.USER, user.id), email=user.email, name=user.name, created_at=user.created_at)


async def load_users(context: Context, user_ids: list[UserId]) -> Sequence[User | None]:
    """Load users by id; None for those who are gone."""
    users = await context.services.identity.list_users(context.principal, user_ids)
    return [User.of(users[user_id]) if user_id in users else None for user_id in user_ids]


async def _find_user(info: Info, user_id: UUID) -> User | None:
    user = await info.context.loaders.load(load_users, UserId(user_id))
    # Who shares no workspace with the caller can be seen where the person acted, and not be looked up.
    return user if user is not None and user.email is not None else None


register_node(Prefix.USER, _find_user)
