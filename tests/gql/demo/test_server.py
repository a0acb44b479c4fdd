from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.errors import SetupFault
from gql.demo.server import DemoServer
from runtime.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("place", "why"), [("file", "it is not a directory"), ("file/below", "Not a directory")])
def test_a_data_directory_that_cannot_be_one_is_told(place: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server, data_dir = DemoServer(), tmp_path / place
    try:
        with pytest.raises(SetupFault) as caught:
            server.load(Settings(data_dir=data_dir))
    finally:
        server.close()
    assert caught.value.message == f"The data directory {data_dir} cannot be used: {why}. Set ANABRANCH_DATA_DIR."
