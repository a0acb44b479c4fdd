from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.texts import check_line, check_text


def test_a_line_loses_the_white_space_around_it() -> None:
    assert check_line("  Ada Lovelace \n", ["name"], limit=20) == "Ada Lovelace"


@pytest.mark.parametrize("text", ["", "   ", "two\nlines", "nul\0", "half \ud83d", "x" * 21, "bell\x07"])
def test_a_line_that_cannot_be_shown_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_line(text, ["input", "name"], limit=20)
    assert caught.value.path == ["input", "name"]


def test_a_text_may_have_several_lines() -> None:
    assert check_text("a\n\tb 🙂", ["text"], limit=20) == "a\n\tb 🙂"


@pytest.mark.parametrize("text", ["nul\0", "half \udc00", "x" * 21])
def test_a_text_that_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_text(text, ["text"], limit=20)
