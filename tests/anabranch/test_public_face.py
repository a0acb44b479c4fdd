from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import anabranch
from anabranch import SECRET_CAPABLE, STATIC, Config, NodeContext, NodeFault, NodeKind, Output, Result
from domain.configs import compile_config
from runtime.registry import Registry
from tests.support.node_context import RecordingContext


class EchoConfig(Config):
    """What is said."""

    text: Annotated[str, SECRET_CAPABLE]
    """Template of the text."""
    voice: Annotated[str, STATIC] = "low"
    """Whose voice."""


class EchoOutput(Output):
    """What was said."""

    text: str
    """The text."""


async def run(config: EchoConfig, ctx: NodeContext) -> Result:
    """Say it."""
    if not config.text:
        raise NodeFault("NOTHING_TO_SAY", "The text is empty.")
    await ctx.emit(config.text)
    return Result(EchoOutput(text=config.text))


KIND = NodeKind("ECHO", "echo", "Echo", "Says it again.", EchoConfig, EchoOutput, run)


async def test_a_kind_is_written_with_the_public_names_alone() -> None:
    kind = Registry([KIND]).by_name("echo")
    assert kind is not None
    ctx = RecordingContext()
    result = await kind.run(
        compile_config(kind, {"text": "Hi {{ input.name }}"}).render({"input": {"name": "Ada"}}), ctx
    )
    assert isinstance(result.output, EchoOutput)
    assert (result.output.text, ctx.text()) == ("Hi Ada", "Hi Ada")


def test_every_public_name_is_there() -> None:
    assert sorted(anabranch.__all__) == sorted(name for name in anabranch.__all__ if hasattr(anabranch, name))


def test_importing_it_brings_in_no_engine_and_no_server() -> None:
    code = "import anabranch, sys; print(sorted(n for n in sys.modules if n in {'gql', 'runtime', 'persistence', 'asyncpg', 'strawberry'}))"
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)  # noqa: S603
    assert found.stdout.strip() == "[]"
