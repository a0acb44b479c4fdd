from __future__ import annotations

import pytest
from anabranch_texts.slugify import KIND, SlugifyOutput

from anabranch import NodeFault
from anabranch.testing import RecordingContext, configure, faults_of


async def slug(values: dict[str, object], **scope: object) -> str:
    result = await KIND.run(configure(KIND, values, **scope), RecordingContext())
    assert isinstance(result.output, SlugifyOutput)
    return result.output.slug


def test_the_kind_is_sound() -> None:
    assert faults_of(KIND) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"heading": "Crème brûlée, twice!"}, "creme-brulee-twice"),
        ({"heading": "A  b", "separator": "UNDERSCORE"}, "a_b"),
        ({"heading": "one two three", "maxLength": 8}, "one-two"),
        ({"heading": "incomprehensible", "maxLength": 8}, "incompre"),
    ],
)
async def test_a_text_becomes_a_slug(values: dict[str, object], expected: str) -> None:
    assert await slug(values) == expected


async def test_the_heading_is_a_template() -> None:
    assert await slug({"heading": "{{ input.name }} & sons"}, input={"name": "Ada"}) == "ada-sons"


async def test_a_text_of_which_nothing_is_left_fails_with_its_code() -> None:
    with pytest.raises(NodeFault) as caught:
        await slug({"heading": "…"})
    assert (caught.value.code, caught.value.is_retryable) == ("NOTHING_LEFT", False)
