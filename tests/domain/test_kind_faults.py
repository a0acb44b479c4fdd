from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import Field

from domain.kind_faults import clash_of, faults_of, models_of
from domain.kinds import JSON_FIELD, Config, ErrorCode, NodeContext, NodeKind, Output, Result


class Size(StrEnum):
    """A size."""

    SMALL = "SMALL"
    """Small."""


class Part(Config):
    """A part."""

    sizes: list[Size]
    """Sizes."""


class SoundConfig(Config):
    """A configuration with every shape that there is."""

    text: str
    """A text."""
    count: int | None = None
    """A number."""
    ratio: float = 0.5
    """A ratio."""
    is_on: bool = False
    """A switch."""
    parts: list[Part] = Field(default_factory=list)
    """Parts."""
    value: Annotated[Any, JSON_FIELD] = None
    """Anything."""


class SoundOutput(Output):
    """An output."""

    text: str
    """A text."""


async def run(config: object, ctx: NodeContext) -> Result:
    del config, ctx
    return Result()


def computed(config: object, ctx: NodeContext) -> Any:
    del config, ctx


SOUND = NodeKind("SO_SOUND", "soSound", "Sound", "Is sound.", SoundConfig, SoundOutput, run, nested=(Part,))


class Bare(Config):
    a: int


class Mute(StrEnum):
    LOUD = "LOUD"


class MuteConfig(Config):
    """Has an enum that says nothing."""

    mute: Mute
    """A value."""


class PairsConfig(Config):
    """A configuration without a GraphQL shape."""

    pairs: dict[str, str]
    """Pairs."""


class BytesConfig(Config):
    """Another one."""

    data: bytes
    """Bytes."""


def test_a_sound_kind_has_no_faults() -> None:
    assert faults_of(SOUND) == []
    assert set(models_of(SOUND)) == {SoundConfig, Part, Size}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": "soSound"}, "`kind` is 'soSound'"),
        ({"kind": "UNKNOWN", "name": "unknown"}, "`kind` is 'UNKNOWN'"),
        ({"name": "so_sound"}, "`name` is 'so_sound'"),
        ({"kind": "WHEN", "name": "when"}, "`name` is 'when' (a word that every node has already)"),
        ({"title": ""}, "`title` is empty"),
        ({"run": computed}, "`run` is no `async def`"),
        ({"output": SoundConfig}, "`output` is no subclass of Output"),
        ({"ports": ("out", "error")}, "`ports` has one port at least, and never `error`"),
        ({"error_codes": (ErrorCode("A", "a", is_retryable=False),) * 2}, "The error code A is there twice"),
        ({"config": SoundOutput}, "`config` is no subclass of Config"),
        ({"nested": ()}, "`nested` names nothing, and the configuration has Part"),
        ({"config": Bare, "nested": ()}, "Bare has no docstring"),
        ({"config": Bare, "nested": ()}, "Bare.a has no docstring"),
        ({"config": MuteConfig, "nested": ()}, "Mute has no docstring"),
        ({"config": MuteConfig, "nested": ()}, "Mute.LOUD has no text under it"),
        ({"config": PairsConfig, "nested": ()}, "PairsConfig.pairs has no GraphQL shape"),
        ({"config": BytesConfig, "nested": ()}, "BytesConfig.data has no GraphQL shape"),
    ],
)
def test_each_fault_is_a_sentence(change: dict[str, Any], fault: str) -> None:
    told = faults_of(replace(SOUND, **change))
    assert [one for one in told if one.startswith(fault)], told
    assert all(one.endswith(".") for one in told)


def test_kinds_clash_in_their_names_and_in_the_names_of_their_types() -> None:
    assert clash_of(SOUND, []) is None
    assert clash_of(SOUND, [SOUND]) == "There is a kind SO_SOUND already."
    assert clash_of(SOUND, [replace(SOUND, kind="OTHER", name="other")]) is None, "the same class may be in two kinds"

    class Part(Config):
        """Another part."""

    other = replace(SOUND, kind="OTHER", name="other", config=Part, nested=())
    assert "OTHER has a type Part already" in (clash_of(SOUND, [other]) or "")
