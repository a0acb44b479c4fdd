"""Node kinds for tests of the domain: one with a declared output, one whose author decides, one that makes ports."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from domain.kinds import (
    JSON_FIELD,
    SECRET_CAPABLE,
    STATIC,
    Config,
    ConfigProblem,
    NodeContext,
    NodeKind,
    Output,
    Reference,
    Result,
)


class Header(Config):
    """A header."""

    name: Annotated[str, STATIC]
    """Its name."""
    value: Annotated[str, SECRET_CAPABLE]
    """Its value."""


class FetchConfig(Config):
    """How something is fetched."""

    url: str
    """Where from."""
    headers: Annotated[list[Header], Field(max_length=100)] = Field(default_factory=list)
    """What is sent along."""
    connection: Annotated[str | None, STATIC, Reference("connection")] = None
    """With which credential."""
    collection: Annotated[str, Reference("collection")] | None = None
    """Where to put it."""
    tries: Annotated[int, Field(ge=1, le=9)] = 1
    """How often."""
    is_magic: bool = False
    """Whether it works by magic."""


class FetchOutput(Output):
    """What was fetched."""

    status: int
    """The status."""
    body: Any = None
    """The body."""
    elapsed_ms: int
    """How long it took."""


class SetConfig(Config):
    """A value."""

    value: Annotated[Any, JSON_FIELD] = None
    """The value."""


class ChooseConfig(Config):
    """Ways to choose from."""

    ways: Annotated[list[str], STATIC]
    """Their names."""


async def _run(config: Any, ctx: NodeContext) -> Result:
    del ctx
    return Result(config)


def _no_magic(config: FetchConfig) -> list[ConfigProblem]:
    return [ConfigProblem(("isMagic",), "NOT_SUPPORTED", "There is no magic.")] if config.is_magic else []


def _ways(config: ChooseConfig) -> tuple[str, ...]:
    return tuple(config.ways)


def _kind(name: str, config: type[Config], **more: Any) -> NodeKind:
    return NodeKind(kind=name.upper(), name=name, title=name, description=name, config=config, run=_run, **more)


KINDS = {
    "fetch": _kind("fetch", FetchConfig, output=FetchOutput, check=_no_magic, nested=(Header,)),
    "set": _kind("set", SetConfig, output=None),
    "choose": _kind("choose", ChooseConfig, output=None, ports=("default",), ports_of=_ways),
}
