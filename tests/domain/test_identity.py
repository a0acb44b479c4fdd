from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.errors import Forbidden, InvalidInput, NotFound, WorkspaceRequired
from domain.identity import Permission, Principal, Role, User, check_password, normalise_email
from domain.ids import SessionId, UserId, WorkspaceId

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OWN, OTHER, FOREIGN = (WorkspaceId(UUID(int=number)) for number in (1, 2, 3))


def principal(**roles: Role) -> Principal:
    workspaces = {"own": OWN, "other": OTHER}
    user = User(UserId(UUID(int=9)), "ada@example.com", "Ada", NOW)
    return Principal(user, SessionId(UUID(int=8)), NOW, {workspaces[name]: role for name, role in roles.items()})


def test_an_absent_workspace_means_the_only_one() -> None:
    assert principal(own=Role.VIEWER).workspace(None) == OWN


@pytest.mark.parametrize("roles", [{}, {"own": Role.OWNER, "other": Role.VIEWER}])
def test_an_absent_workspace_is_an_error_unless_there_is_exactly_one(roles: dict[str, Role]) -> None:
    with pytest.raises(WorkspaceRequired):
        principal(**roles).workspace(None, Permission.READ)


def test_a_workspace_of_others_is_not_found() -> None:
    with pytest.raises(NotFound):
        principal(own=Role.OWNER).workspace(FOREIGN, Permission.READ)


@pytest.mark.parametrize("given", [OWN, None])
def test_a_workspace_that_may_be_seen_but_not_changed_is_forbidden(given: WorkspaceId | None) -> None:
    with pytest.raises(Forbidden):
        principal(own=Role.VIEWER).workspace(given, Permission.WRITE)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.OWNER, {Permission.READ, Permission.WRITE, Permission.EXECUTE, Permission.ADMIN}),
        (Role.ADMIN, {Permission.READ, Permission.WRITE, Permission.EXECUTE, Permission.ADMIN}),
        (Role.EDITOR, {Permission.READ, Permission.WRITE, Permission.EXECUTE}),
        (Role.VIEWER, {Permission.READ}),
    ],
)
def test_each_role_has_its_permissions_and_no_others(role: Role, allowed: set[Permission]) -> None:
    actor = principal(own=role)
    demandable = [Permission.READ, Permission.WRITE, Permission.EXECUTE, Permission.ADMIN]
    assert {permission for permission in demandable if OWN in actor.within(permission)} == allowed
    for permission in set(demandable) - allowed:
        with pytest.raises(Forbidden):
            actor.demand(OWN, permission)


def test_demanding_anything_in_a_workspace_of_others_says_not_found() -> None:
    with pytest.raises(NotFound):
        principal(own=Role.OWNER).demand(FOREIGN, Permission.READ)


def test_addresses_that_differ_in_case_and_composition_are_one() -> None:
    composed, decomposed = "JOS\u00c9@Example.COM", " jose\u0301@example.com "
    assert normalise_email(composed) == normalise_email(decomposed) == "jos\u00e9@example.com"


@pytest.mark.parametrize(
    "email", ["", "ada", "@", "a b@c", "a@b@c", "ada@example.com\0", "a\ud800@b", "x" * 251 + "@b.c"]
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise_email(email)
    assert caught.value.path == ["input", "email"]


def test_a_password_has_ten_characters_at_least() -> None:
    assert check_password("x" * 10, ["password"]) == "x" * 10
    for password in ("x" * 9, "x" * 1_025):
        with pytest.raises(InvalidInput):
            check_password(password, ["password"])
