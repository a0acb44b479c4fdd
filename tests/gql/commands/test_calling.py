from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gql.commands.calling import program, run_example

if TYPE_CHECKING:
    import pytest


def test_a_command_that_is_not_on_the_path_is_told_by_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bin_folder = Path(sys.executable).parent
    monkeypatch.chdir(bin_folder.parents[1])
    told = str(Path(bin_folder.parent.name, bin_folder.name, "anabranch"))
    assert program() == told
    monkeypatch.chdir(tmp_path)
    assert program() == str(bin_folder / "anabranch")
    assert run_example("hello") == f"{program()} new hello && {program()} run hello.yaml --watch"


def test_an_example_is_run_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "ask.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert run_example("ask", "--input a=b") == f"{program()} run examples/ask.yaml --input a=b --watch"
