from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from gql.printing import print_lines


def printed(*, is_terminal: bool) -> list[str]:
    table = Table("run", "workflow", "error", box=None, pad_edge=False)
    table.add_row("run_01jd4v0000e0080000000000aa", "a-workflow-of-a-long-name", "second: TEMPLATE_ERROR")
    file = io.StringIO()
    print_lines(Console(file=file, width=40, force_terminal=is_terminal, color_system=None), table)
    return file.getvalue().splitlines()


def test_a_program_reads_each_row_on_one_line() -> None:
    _, row = printed(is_terminal=False)
    assert row.split() == ["run_01jd4v0000e0080000000000aa", "a-workflow-of-a-long-name", "second:", "TEMPLATE_ERROR"]


def test_on_a_terminal_a_row_is_folded_to_its_width() -> None:
    head, *rows = printed(is_terminal=True)
    assert len(rows) > 1
    assert max(map(len, (head, *rows))) <= 40
