"""Fields that declare the permission that they demand; a mutation's faults become its `userErrors`.

All root fields do, and those below that show more than the role VIEWER may see, or not what others may.
"""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.maybe import Some

from domain.errors import Forbidden, InvalidInput, RateLimited, UserFault
from domain.identity import ROLES_WITH, Permission
from gql.errors import to_user_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strawberry.types.field import StrawberryField

    from domain.identity import Principal
    from gql.context import Info

Resolver = TypeVar("Resolver", bound="Callable[..., Any]")

_KEY = "permission"
_NO_KEYS = " Refused to API keys."


class Demand(FieldExtension):
    """Lets nobody in who is not signed in, unless the field is public, and no API key without the scope.

    What the caller's role allows is the services' business, which know the workspace of an object.
    """

    def __init__(self, permission: Permission, *, is_changing: bool = False) -> None:
        self.permission = permission
        self.is_changing = is_changing

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Check, then go on.

        Raises:
            Unauthenticated: nobody is signed in.
            Forbidden: an API key may not do this.
        """
        context = info.context
        actor = context.maybe_principal if self.permission is Permission.PUBLIC else context.principal
        if actor is not None and actor.api_key_id is not None:
            self._demand_of_key(actor)
        found = next_(source, info, **arguments)
        return found if inspect.isasyncgen(found) else await found

    def _demand_of_key(self, actor: Principal) -> None:
        if self.permission in ROLES_WITH:
            actor.demand_scope(self.permission)
        elif self.is_changing:
            # Accounts and sessions are a person's affair, whatever the key may do otherwise.
            raise Forbidden("An API key cannot do this; sign in.")


class UserErrors(FieldExtension):
    """Turns the faults that a caller can correct into the payload's `userErrors`."""

    def __init__(self) -> None:
        self.field: StrawberryField | None = None

    def apply(self, field: StrawberryField) -> None:
        """Remember the field; its type, the payload, is resolved late, since features name each other's types lazily."""
        self.field = field

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Resolve and catch."""
        try:
            _refuse_unstorable_text(arguments, ())
            return await next_(source, info, **arguments)
        except UserFault as fault:
            if isinstance(fault, RateLimited):
                info.context.retry_after_s = fault.retry_after_s
            assert self.field is not None  # noqa: S101 - Strawberry applies every extension before it resolves
            return cast("Callable[..., Any]", self.field.type)(user_errors=to_user_errors(fault))


def query(
    permission: Permission, *, description: str, name: str | None = None
) -> Callable[[Resolver], StrawberryField]:
    """Make a field of `Query`."""
    return _field(strawberry.field, [Demand(permission)], permission, description, name)


def mutation(
    permission: Permission, *, description: str, name: str | None = None
) -> Callable[[Resolver], StrawberryField]:
    """Make a field of `Mutation`; every field of its payload class has a default."""
    if permission not in ROLES_WITH:
        description += _NO_KEYS
    # The last one is the outermost: what `Demand` forbids is one of the user errors too.
    extensions = [Demand(permission, is_changing=True), UserErrors()]
    return _field(strawberry.mutation, extensions, permission, description, name)


def subscription(
    permission: Permission, *, description: str, name: str | None = None
) -> Callable[[Resolver], StrawberryField]:
    """Make a field of `Subscription` out of an async generator."""
    return _field(strawberry.subscription, [Demand(permission)], permission, description, name)


def field(
    permission: Permission, *, description: str, name: str | None = None
) -> Callable[[Resolver], StrawberryField]:
    """Make a field of any other type, below the roots."""
    return _field(strawberry.field, [Demand(permission)], permission, description, name)


def permission_of(field: StrawberryField) -> Permission | None:
    """Return what a field demands; None for a field that was not made by this module."""
    return cast("Permission | None", field.metadata.get(_KEY))


def _field(
    make: Callable[..., Any],
    extensions: Sequence[FieldExtension],
    permission: Permission,
    description: str,
    name: str | None,
) -> Callable[[Resolver], StrawberryField]:
    return make(name=name, description=description, extensions=list(extensions), metadata={_KEY: permission})


def _refuse_unstorable_text(value: object, path: tuple[str, ...]) -> None:
    # PostgreSQL stores neither U+0000 nor lone surrogates. A value of the scalar JSON arrives as a dict and is left to
    # whoever stores it.
    if isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            raise InvalidInput("The text holds a character that cannot be stored (U+0000 or half a pair).", path=path)
    elif isinstance(value, list):
        for place, item in enumerate(cast("list[object]", value)):
            _refuse_unstorable_text(item, (*path, str(place)))
    elif isinstance(value, Some):
        _refuse_unstorable_text(cast("Some[object]", value).value, path)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            name = getattr(field, "graphql_name", None) or _camel(field.name)
            _refuse_unstorable_text(getattr(value, field.name, None), (*path, name))
    elif not path and isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            _refuse_unstorable_text(item, (_camel(name),))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
