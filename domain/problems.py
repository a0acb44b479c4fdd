"""Faults of a graph: what is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PROBLEMS: Final = 1_000
MAX_STEPS: Final = 30
UNKNOWN_KIND: Final = "UNKNOWN_KIND"
"""The code of a node whose kind is not installed, or never was."""
_SHOWN: Final = 80
_CANDIDATES: Final = 600


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of a graph. A structural one keeps the graph from being saved, another error only from being run."""

    code: str
    message: str
    is_error: bool = True
    node_key: str | None = None
    edge: tuple[str, str, str] | None = None
    """Source, source port and target."""
    path: tuple[str, ...] = ()
    """The way to the faulty value inside the node, such as `config`, `llmCall`, `prompt`; without a node, inside the
    workflow, such as `output`, `answer`."""
    hint: str | None = None
    is_structural: bool = False


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """Return at most 1,000 problems: structural ones, then errors, then warnings, each in the order of discovery."""
    return sorted(problems, key=lambda problem: (not problem.is_structural, not problem.is_error))[:MAX_PROBLEMS]


def shown(name: str) -> str:
    """Return a name as a message quotes it: in backticks, cut at 80 characters."""
    return f"`{name[:_SHOWN]}{'…' if len(name) > _SHOWN else ''}`"


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the known word nearest to the given one; None if none is near."""
    # difflib compares with every candidate: both sides are bounded, so that a hostile graph costs no more than others.
    near = get_close_matches(given[:_SHOWN], sorted(known)[:_CANDIDATES], n=1, cutoff=0.7)
    return f"Did you mean {shown(near[0])}?" if near else None
