"""What every mutation gives: a payload of its own, and in each of them what went wrong."""

from __future__ import annotations

import strawberry

from gql.errors import UserError


@strawberry.type(description="What a mutation gives.")
class Payload:
    """What a mutation gives; subclasses add what was changed, each field with a default."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list[UserError], description="What went wrong, at most 100; empty after success."
    )
