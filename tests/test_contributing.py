"""The worked examples of CONTRIBUTING.md and README.md are run, so that they stay true."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import strawberry

from gql.kinds import derive
from runtime.registry import BUILT_IN, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[1]
KIND = "runtime/nodes/digest.py"
TEST = "tests/runtime/nodes/test_digest.py"


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def load(name: str, source: str, folder: Path) -> ModuleType:
    """Import a block as if it lay where CONTRIBUTING.md says; from a file, since descriptions are read from the source."""
    file = folder / f"{name}.py"
    file.write_text(source)
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kind_and_test(tmp_path: Path) -> Iterator[tuple[ModuleType, ModuleType]]:
    """Load the two Python blocks under the names that CONTRIBUTING.md gives them."""
    names = ("runtime.nodes.digest", "tests.runtime.nodes.test_digest")
    kind, test = blocks("CONTRIBUTING.md", "python")
    try:
        yield load(names[0], kind, tmp_path), load(names[1], test, tmp_path)
    finally:
        for name in names:
            sys.modules.pop(name, None)


def cases(function: Any) -> list[dict[str, object]]:
    """Return the arguments that the one `parametrize` mark of a test lists."""
    for mark in getattr(function, "pytestmark", []):
        names, rows = mark.args
        return [dict(zip(names, row, strict=True)) for row in rows]
    return [{}]


async def test_the_tests_of_the_example_kind_pass(kind_and_test: tuple[ModuleType, ModuleType]) -> None:
    tests = [value for name, value in vars(kind_and_test[1]).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        assert inspect.iscoroutinefunction(test)
        for arguments in cases(test):
            await test(**arguments)


def test_the_example_kind_can_be_registered_beside_the_others(kind_and_test: tuple[ModuleType, ModuleType]) -> None:
    digest = kind_and_test[0].KIND
    assert Registry((*BUILT_IN, digest)).by_name("digest") is digest


def test_the_schema_describes_the_example_kind(kind_and_test: tuple[ModuleType, ModuleType]) -> None:
    derived = derive([kind_and_test[0].KIND])

    def check(config: Any) -> Any:
        return config

    # Given as objects: as text they would be looked up among the globals of this module.
    check.__annotations__ = {"config": derived.config_input, "return": derived.config}
    query = strawberry.type(type("Query", (), {"check": strawberry.field(resolver=check)}))
    sdl = strawberry.Schema(query).as_str()
    for described in ("type DigestConfig", "input DigestConfigInput", "enum DigestAlgorithm"):
        assert described in sdl
    assert sdl.count('"""Template of the text."""') == 2
    assert '"""SHA-2 with 512 bits."""' in sdl


@pytest.mark.parametrize(("index", "path"), [(0, KIND), (1, TEST)])
def test_the_example_kind_is_in_house_style(index: int, path: str) -> None:
    source = blocks("CONTRIBUTING.md", "python")[index]
    ruff = Path(sys.executable).with_name("ruff")
    # Where the module does not exist, ruff cannot know that it is ours and sorts its import elsewhere.
    for command in (["check", "--quiet", "--ignore", "I001"], ["format", "--check", "--quiet"]):
        done = subprocess.run(  # noqa: S603
            [ruff, *command, "--stdin-filename", path, "-"],
            cwd=ROOT, input=source, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
