"""What is installed from a wheel has all that the repository has: it is unpacked elsewhere and used there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT = ("examples/.env", "examples/plugin/.env", "examples/plugin/dist/x", "examples/clients/urql/node_modules/x/x.js")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it as an installation would."""
    folder = tmp_path_factory.mktemp("wheel")
    # Of a copy, where the examples have been used: what git ignores lies beside them.
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules", "data", "artefacts"))
    for left in LEFT:
        (tree / left).parent.mkdir(parents=True, exist_ok=True)
        (tree / left).write_text("a secret")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=tree, check=True, capture_output=True, timeout=60)  # noqa: S603 -- ours
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def anabranch(installed: Path, where: Path, *arguments: str, timeout: float = 50) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    environment |= {"PYTHONPATH": str(installed), "XDG_CONFIG_HOME": str(where), "COLUMNS": "100"}
    command = [sys.executable, "-m", "anabranch", *arguments]
    return subprocess.run(  # noqa: S603 -- ours
        command, cwd=where, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.long
def test_a_wheel_carries_examples_pages_migrations_and_the_demo(installed: Path) -> None:
    examples = {path.name for path in (ROOT / "examples").iterdir()} - {"clients", ".env"}
    assert {path.name for path in (installed / "gql/examples").iterdir()} == examples
    for needed in ("gql/demo/corpus.py", "migrations/versions/0001_initial.py"):
        assert (installed / needed).is_file()
    assert any((installed / "gql/static").iterdir())


@pytest.mark.long
def test_a_wheel_carries_no_packages_and_no_secrets_that_lie_beside_the_examples(installed: Path) -> None:
    carried = {path.relative_to(installed / "gql").as_posix() for path in (installed / "gql/examples").rglob("*")}
    assert "examples/plugin/pyproject.toml" in carried
    assert carried & set(LEFT) == set()
    assert not (installed / "examples").exists()


@pytest.mark.long
def test_new_works_where_there_is_no_repository(installed: Path, tmp_path: Path) -> None:
    listed = anabranch(installed, tmp_path, "new")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "ask " in listed.stdout
    assert anabranch(installed, tmp_path, "new", "ask").returncode == 0
    assert (tmp_path / "ask.yaml").read_bytes() == (ROOT / "examples/ask.yaml").read_bytes()


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_demo_works_where_there_is_no_repository(installed: Path, data_dir: Path, tmp_path: Path) -> None:
    done = anabranch(installed, tmp_path, "demo", "--chaos", "0", "--data-dir", str(data_dir), timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "anabranch new ask && " in done.stdout
