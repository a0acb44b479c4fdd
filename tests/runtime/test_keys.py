from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from domain.errors import SetupFault
from runtime.encryption import Vault
from runtime.keys import open_keys

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "encryption.keys"
    first = open_keys((), path)
    assert open_keys((), path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert Vault(first)
    assert [file.name for file in path.parent.iterdir()] == ["encryption.keys"]


def test_processes_that_start_together_read_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(open_keys, (), path) for _ in range(8)]]
    assert len(set(found)) == 1
    assert open_keys((), path) == found[0]
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_the_setting_wins(tmp_path: Path) -> None:
    assert open_keys([SecretStr("a"), SecretStr("b")], tmp_path / "keys") == ("a", "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    open_keys((), path)
    path.chmod(0o640)
    with pytest.raises(SetupFault, match="chmod 600"):
        open_keys((), path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch(0o600)
    with pytest.raises(SetupFault):
        open_keys((), path)


def test_no_key_is_made_where_several_machines_would_need_it(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="ANABRANCH_ENCRYPTION_KEYS"):
        open_keys((), tmp_path / "keys", is_made=False)
    assert list(tmp_path.iterdir()) == []
