from __future__ import annotations

from itertools import product

import pytest

from domain.errors import Conflict, Forbidden
from domain.identity import Role
from domain.members import check_grant, check_removal, check_role_change

O, A, E, V = Role.OWNER, Role.ADMIN, Role.EDITOR, Role.VIEWER  # noqa: E741
GRANTS = {(O, O), (O, A), (O, E), (O, V), (A, A), (A, E), (A, V)}
"""Who may give and take which role."""


@pytest.mark.parametrize(("own", "role"), list(product([None, *Role], Role)))
def test_owners_give_every_role_admins_all_but_that_of_owners_and_others_none(own: Role | None, role: Role) -> None:
    if (own, role) in GRANTS:
        check_grant(own, role)
    else:
        with pytest.raises(Forbidden):
            check_grant(own, role)


@pytest.mark.parametrize(("own", "before", "after"), list(product([None, *Role], Role, Role)))
def test_a_role_is_changed_by_whoever_may_take_the_old_and_give_the_new(
    own: Role | None, before: Role, after: Role
) -> None:
    if {(own, before), (own, after)} <= GRANTS:
        check_role_change(own, before, after, owner_count=2)
    else:
        with pytest.raises(Forbidden):
            check_role_change(own, before, after, owner_count=2)


@pytest.mark.parametrize(("own", "role"), list(product([None, *Role], Role)))
def test_a_member_is_removed_by_whoever_may_take_the_role_or_goes_alone(own: Role | None, role: Role) -> None:
    check_removal(own, role, owner_count=2, is_own=True)
    if (own, role) in GRANTS:
        check_removal(own, role, owner_count=2, is_own=False)
    else:
        with pytest.raises(Forbidden):
            check_removal(own, role, owner_count=2, is_own=False)


@pytest.mark.parametrize("is_own", [True, False])
def test_the_last_owner_stays(is_own: bool) -> None:
    with pytest.raises(Conflict):
        check_removal(O, O, owner_count=1, is_own=is_own)
    with pytest.raises(Conflict):
        check_role_change(O, O, A, owner_count=1)
    check_role_change(O, O, O, owner_count=1)
