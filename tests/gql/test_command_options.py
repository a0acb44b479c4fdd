from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cli import anabranch

if TYPE_CHECKING:
    from tests.support.cli import Command

__all__ = ["anabranch"]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LLM__PRICES", "nope", "ANABRANCH_LLM__PRICES is not acceptable: it is no JSON. What models cost per million"),
        ("LLM__PRICES", '{"m": {"input": "x", "output": "1"}}', "ANABRANCH_LLM__PRICES is not acceptable at m.input: "),
        (
            "LLM",
            "nope",
            "ANABRANCH_LLM is not acceptable: it is no JSON; set one by one what begins with ANABRANCH_LLM__",
        ),
        ("TOKEN_KEYS", "[x", "ANABRANCH_TOKEN_KEYS is not acceptable: it is no JSON. Keys of access tokens"),
    ],
)
def test_a_bad_setting_is_named_with_what_it_must_be(
    anabranch: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"ANABRANCH_{variable}", value)
    status, _, err = anabranch("serve")
    assert (status, err[: len(told)]) == (1, told)
    assert "input_value" not in err
    assert err.count("\n") == 1
