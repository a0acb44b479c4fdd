from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Demo = Callable[[], tuple[subprocess.CompletedProcess[str], float]]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    """Run `anabranch demo` with a data directory of the test's own; gives what it did and how long it took."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    environment |= {"ANABRANCH_DATA_DIR": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "120"}

    def run() -> tuple[subprocess.CompletedProcess[str], float]:
        begin = time.monotonic()
        command = [sys.executable, "-m", "gql.cli", "demo"]
        done = subprocess.run(  # noqa: S603 -- ours
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
        )
        return done, time.monotonic() - begin

    return run


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_demo_runs_a_real_workflow_to_its_end_and_can_be_run_again(demo: Demo) -> None:
    done, seconds = demo()
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}{done.stderr}"
    assert seconds < 60
    pieces = re.findall(r" s  write: \+ ('.*'|\".*\")$", done.stdout, re.MULTILINE)
    assert len(pieces) > 3, "the model's answer must come in pieces"
    assert "Workflow hello, revision 1 (created)" in done.stdout
    assert re.search(r"^SUCCEEDED after [\d.]+ s in all; [1-9]\d* tokens in, [1-9]\d* out", done.stdout, re.MULTILINE)
    output = json.loads(done.stdout[done.stdout.index("\n{") : done.stdout.rindex("}") + 1])
    assert output["answer"] == "".join(ast.literal_eval(piece) for piece in pieces)
    assert output["server"]["status"] == "alive"

    again, _ = demo()
    assert (again.returncode, again.stderr) == (0, ""), f"{again.stdout}{again.stderr}"
    assert "Workflow hello, revision 1 (unchanged)" in again.stdout
