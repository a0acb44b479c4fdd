"""BRANCH: one of several ways, by conditions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from domain.errors import NodeFault
from domain.kinds import EXPRESSION, FAILS, HOLDS, STATIC, Config, NodeContext, NodeKind, Output, Result

_DEFAULT = "default"
_PORTS_OF_EVERY_NODE = frozenset({_DEFAULT, "error"})


class BranchCase(Config):
    """One way of a branch."""

    name: Annotated[str, STATIC, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    """Its name, which is its port."""
    when: Annotated[str, EXPRESSION, Field(min_length=1)]
    """An expression such as `nodes.score.output.value > 0.8`."""


class BranchConfig(Config):
    """A choice; output `case`. Each case is a port, and so is `default`."""

    cases: Annotated[list[BranchCase], Field(min_length=1, max_length=30)]
    """The cases in order, 30 at most; the first that holds is taken, else `default`."""

    @model_validator(mode="after")
    def _names_are_ports_of_their_own(self) -> BranchConfig:
        names = [case.name for case in self.cases]
        if taken := _PORTS_OF_EVERY_NODE.intersection(names):
            raise ValueError(f"a case cannot be called {min(taken)!r}: that is a port already")
        if len(set(names)) != len(names):
            raise ValueError("two cases have the same name")
        return self


class BranchOutput(Output):
    """Which way was taken."""

    case: str
    """The name of the case, or `default`."""


async def run(config: BranchConfig, ctx: NodeContext) -> Result:
    """Take the first case that holds; those behind it are not looked at.

    Raises:
        NodeFault: `TEMPLATE_ERROR` where a case that counts cannot be evaluated.
    """
    del ctx
    for place, case in enumerate(config.cases):
        if case.when == HOLDS:
            return Result(BranchOutput(case=case.name), ports=(case.name,))
        if case.when != FAILS:
            raise NodeFault("TEMPLATE_ERROR", f"config.branch.cases.{place}.when: {case.when}")
    return Result(BranchOutput(case=_DEFAULT), ports=(_DEFAULT,))


KIND = NodeKind(
    kind="BRANCH",
    name="branch",
    title="Branch",
    description="Choose one of several ways.",
    config=BranchConfig,
    output=BranchOutput,
    run=run,
    ports=(_DEFAULT,),
    ports_of=lambda config: tuple(case.name for case in config.cases),
    is_idempotent=True,
    is_pure=True,
    nested=(BranchCase,),
)
