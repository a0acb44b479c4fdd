"""How the demo ends: one panel with the answer, its sources, the row, and every claim with its count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domain.run import RunStatus
from gql.client.events import read_matches
from gql.live_tree import describe_usage, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from gql.client.run_view import RunView
    from gql.demo.library import Row
    from gql.demo.tally import Claim, Kill

_SEARCHES = ("members", "modules")
_CLAIM_LINE = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is to tell at the end; `row` is None where none was written."""

    question: str
    view: RunView
    row: Row | None
    kills: Sequence[Kill]
    claims: Sequence[Claim]
    seconds: float

    @property
    def faults(self) -> list[str]:
        """What went wrong, a sentence each; empty after a good end."""
        faults: list[str] = []
        if self.view.status is not RunStatus.SUCCEEDED:
            error = self.view.error
            why = f" at {error.node_key or 'the run'}: {error.code}: {printable(error.message)}" if error else ""
            faults.append(f"The run {self.view.status.value}{why}")
        return faults + [f"A claim does not hold: {claim}." for claim in self.claims if not claim.is_true]


def summarize(outcome: Outcome) -> RenderableType:
    """Return the panel."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _lines(outcome):
        grid.add_row(name, value)
    is_good = not outcome.faults
    title = f"[bold]{'✔ All of it holds' if is_good else '✘ The demo failed'}[/]"
    return Panel(grid, title=title, border_style="green" if is_good else "red", padding=(1, 2))


def _lines(outcome: Outcome) -> list[tuple[str, Text]]:
    lines = [("Question", Text(outcome.question))]
    if outcome.view.status is RunStatus.SUCCEEDED:
        lines += [("Answer", Text(_answer(outcome.view))), ("Sources", _sources(outcome.view))]
    usage = outcome.view.usage
    if usage is not None:
        lines.append(("Tokens", Text(describe_usage(usage))))
    if outcome.row is not None:
        values = ", ".join(f"{name} {_short(value)}" for name, value in outcome.row.values.items())
        lines.append(("Row", Text(f"{outcome.row.id}, read back over GraphQL: {values}")))
    lines += [(f"Kill {place}", _kill(kill)) for place, kill in enumerate(outcome.kills, 1)]
    lines.append(("Counted", _claims(outcome.claims)))
    lines.append(("Time", Text(f"{outcome.seconds:.1f} s in all")))
    return lines


def _answer(view: RunView) -> str:
    output: object = view.output
    return printable(str(output.get("answer", "")).strip()) if isinstance(output, dict) else ""  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def _sources(view: RunView) -> Text:
    names = [
        f"{printable(match.text.partition(':')[0])} {match.score:.2f}"
        for key in _SEARCHES
        if key in view.nodes
        for match in read_matches(view.nodes[key].output)
    ]
    return Text(" · ".join(names) or "none: nothing was found")


def _kill(kill: Kill) -> Text:
    back = "it did not come back" if kill.recovery_s is None else f"back after {kill.recovery_s:.1f} s"
    return Text(f"SIGKILL after {kill.pieces} pieces of the answer; {back}")


def _claims(claims: Sequence[Claim]) -> Text:
    """Return the counts; lines end between two of them, never inside one."""
    text, length = Text(), 0
    for claim in claims:
        told = f"{claim.what} {claim.counted}"
        if length:
            is_full = length + len(told) > _CLAIM_LINE
            text.append("\n" if is_full else " · ")
            length = 0 if is_full else length
        length += len(told) + 3
        text.append(told, style="green" if claim.is_true else "bold red")
    return text


def _short(value: object) -> str:
    text = printable(value if isinstance(value, str) else orjson.dumps(value).decode()).replace("\n", " ")
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 -- as much as fits beside the others
