from __future__ import annotations

from base64 import urlsafe_b64encode
from uuid import UUID

import pytest

from domain.errors import SecretUnreadable, SetupFault
from runtime.encryption import Vault

OLD, NEW = (urlsafe_b64encode(bytes([number]) * 32).decode() for number in (1, 2))
WORKSPACE, SECRET, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)


def sealed(vault: Vault, value: str = "hunter2 🔑") -> bytes:
    return vault.seal(value, workspace_id=WORKSPACE, object_id=SECRET)


def test_a_value_comes_back_and_is_never_sealed_alike_twice() -> None:
    vault = Vault([NEW])
    first, second = sealed(vault), sealed(vault)
    assert vault.open(first, workspace_id=WORKSPACE, object_id=SECRET) == "hunter2 🔑"
    assert first != second
    assert b"hunter2" not in first


def test_a_value_moved_to_another_workspace_or_object_does_not_open() -> None:
    vault = Vault([NEW])
    blob = sealed(vault)
    for workspace, owner in [(OTHER, SECRET), (WORKSPACE, OTHER), (SECRET, WORKSPACE)]:
        with pytest.raises(SecretUnreadable):
            vault.open(blob, workspace_id=workspace, object_id=owner)


def test_every_changed_bit_and_every_truncation_is_noticed() -> None:
    vault = Vault([NEW, OLD])
    blob = sealed(vault, "x")
    changed = [blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :] for place in range(len(blob))]
    for broken in [*changed, *(blob[:length] for length in range(len(blob)))]:
        with pytest.raises(SecretUnreadable):
            vault.open(broken, workspace_id=WORKSPACE, object_id=SECRET)


def test_after_a_rotation_old_values_open_and_new_ones_need_the_new_key() -> None:
    before = sealed(Vault([OLD]))
    rotated = Vault([NEW, OLD])
    assert rotated.open(before, workspace_id=WORKSPACE, object_id=SECRET) == "hunter2 🔑"
    after = sealed(rotated)
    assert Vault([NEW]).open(after, workspace_id=WORKSPACE, object_id=SECRET) == "hunter2 🔑"
    with pytest.raises(SecretUnreadable):
        Vault([OLD]).open(after, workspace_id=WORKSPACE, object_id=SECRET)


@pytest.mark.parametrize("keys", [[], [""], ["short"], ["é" * 44], [NEW, "A" * 43]])
def test_keys_that_are_none_stop_the_start(keys: list[str]) -> None:
    with pytest.raises(SetupFault):
        Vault(keys)
