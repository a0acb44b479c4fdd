from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gql.commands.calling import program
from tests.support.cli import anabranch

if TYPE_CHECKING:
    from tests.support.cli import Command

__all__ = ["anabranch"]
EXAMPLES = Path(__file__).parents[3] / "examples"


def test_new_lists_every_example_with_a_sentence(anabranch: Command) -> None:
    status, out, err = anabranch("new")
    assert (status, err) == (0, "")
    told = " ".join(out.split())
    for path in EXAMPLES.glob("*.yaml"):
        assert f"{path.stem} " in told
    assert "Searches a collection twice" in told


def test_new_copies_an_example_under_its_own_name_or_another(anabranch: Command, tmp_path: Path) -> None:
    assert anabranch("new", "hello") == (0, f"Wrote hello.yaml; run it: {program()} run hello.yaml --watch\n", "")
    assert anabranch("new", "hello.yaml", "mine.yaml")[0] == 0
    (tmp_path / "flows").mkdir()
    assert anabranch("new", "hello", "flows")[0] == 0
    original = (EXAMPLES / "hello.yaml").read_bytes()
    assert [(tmp_path / name).read_bytes() for name in ("hello.yaml", "mine.yaml", "flows/hello.yaml")] == [
        original
    ] * 3


def test_new_overwrites_nothing_unless_forced(anabranch: Command, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text("mine")
    assert anabranch("new", "hello") == (1, "", "hello.yaml is there already; --force overwrites it.\n")
    assert (tmp_path / "hello.yaml").read_text() == "mine"
    assert anabranch("new", "hello", "--force")[0] == 0
    assert (tmp_path / "hello.yaml").read_bytes() == (EXAMPLES / "hello.yaml").read_bytes()


def test_an_unknown_example_is_told_with_those_that_there_are(anabranch: Command) -> None:
    status, _, err = anabranch("new", "../secret")
    assert status == 1
    assert err.startswith("There is no example '../secret'; there are ")
    assert "ask" in err


def test_a_place_that_cannot_be_written_is_one_sentence(anabranch: Command) -> None:
    assert anabranch("new", "hello", "nowhere/hello.yaml") == (
        1,
        "",
        "nowhere/hello.yaml cannot be written: No such file or directory.\n",
    )
