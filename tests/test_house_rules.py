from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
PACKAGES = ("anabranch", "domain", "gql", "persistence", "runtime")
TEXT = {".css", ".graphql", ".html", ".in", ".json", ".md", ".mako", ".py", ".toml", ".ts", ".tsx", ".txt", ".yaml"}
# Written by programs, or given: the lock files, the schema, and the design's draft of it.
UNBOUNDED = (
    "schema.graphql",
    "schema-baseline.graphql",
    "schema-tests.md",
    "package-lock.json",
    "requirements/",
    "python/requirements.txt",
    "docs/design/",
)
MAX_LINES = 400


def files() -> list[Path]:
    """Return every file that is in the repository, or will be with the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> dict[str, str]:
    return {
        named(path): path.read_text(encoding="utf-8")
        for path in files()
        if path.suffix in TEXT or path.name in {"Makefile", "run", ".npmrc", ".gitignore", ".env.example"}
    }


# ── files ──


def test_no_file_has_more_than_400_lines() -> None:
    lengths = {name: text.count("\n") for name, text in texts().items() if not any(part in name for part in UNBOUNDED)}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_init_files_are_empty() -> None:
    """Only `anabranch`, the public face, has something to say in its `__init__.py`."""
    filled = [name for name, text in texts().items() if name.endswith("__init__.py") and text.strip()]
    assert [name for name in filled if name != "anabranch/__init__.py"] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty_words = {"utils", "helpers", "common", "core", "base", "manager"}
    assert [named(path) for path in files() if path.suffix == ".py" and path.stem in empty_words] == []


def test_the_repository_names_no_package_registry() -> None:
    hosts = [
        ".".join(labels) for labels in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"))
    ]
    found = [(name, host) for name, text in texts().items() for host in hosts if host in text]
    assert found == []


def test_the_repository_names_no_path_of_a_machine() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root|home|Users)/[\w.]")
    assert [(name, found[0]) for name, text in texts().items() if (found := pattern.search(text))] == []


def test_every_decision_record_has_its_five_paragraphs_and_a_number_of_its_own() -> None:
    records = [path for path in files() if path.parent == ROOT / "docs" / "adr" and path.name != "README.md"]
    assert records
    numbers = [path.name.partition("-")[0] for path in records]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\d{4}", number) for number in numbers)
    for record in records:
        text = record.read_text()
        paragraphs = ("**Context.**", "**Decision.**", "**Consequences.**", "**Alternatives.**", "**Enforced by**")
        assert [part for part in paragraphs if part not in text] == [], record.name
        assert text.count("\n") < 60, f"{record.name} is longer than a page"


# ── dependencies ──


def requirements(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text()
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    }


def declared() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [Requirement(text) for text in project["project"]["dependencies"]]
    extras = [Requirement(text) for extra in project["project"]["optional-dependencies"].values() for text in extra]
    dev = [Requirement(text) for text in project["dependency-groups"]["dev"]]
    build = [Requirement(text) for text in project["build-system"]["requires"]]
    return {"runtime.txt": runtime, "dev.txt": [*runtime, *extras, *dev], "build.txt": build}


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "build.txt"])
def test_every_declared_dependency_is_locked_in_a_version_that_it_allows(lock: str) -> None:
    locked = requirements(lock)
    missing = [str(need) for need in declared()[lock] if canonicalize_name(need.name) not in locked]
    assert missing == [], "run `make lock`"
    refused = [
        str(need) for need in declared()[lock] if not need.specifier.contains(locked[canonicalize_name(need.name)])
    ]
    assert refused == [], "run `make lock`"


def test_all_locks_agree_on_versions() -> None:
    dev = requirements("dev.txt")
    for lock in ("runtime.txt", "build.txt"):
        assert {name: v for name, v in requirements(lock).items() if dev.get(name, v) != v} == {}, "run `make lock`"


@pytest.mark.parametrize(
    "lock", ["runtime.txt", "dev.txt", "build.txt", "models.txt", "../examples/clients/python/requirements.txt"]
)
def test_every_locked_package_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_every_npm_lock_has_hashes_and_no_address_of_a_package() -> None:
    locks = {named(path): path.read_text() for path in files() if path.name == "package-lock.json"}
    assert len(locks) >= 3
    assert [name for name, text in locks.items() if '"integrity": "sha512-' not in text or '"resolved"' in text] == []


# ── who imports whom ──


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=tree, capture_output=True, text=True, timeout=50, check=False)  # noqa: S603


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy what import-linter looks at."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("static", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_hold(tree: Path) -> None:
    done = lint_imports(tree)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("contract", "planted"),
    [
        ("gql > runtime > persistence > domain", {"domain/planted.py": "import runtime.settings"}),
        ("gql > runtime > persistence > domain", {"runtime/planted.py": "import gql.ids"}),
        (
            "persistence is imported by runtime.services and runtime.databases alone",
            {"gql/planted.py": "import persistence.tables"},
        ),
        (
            "persistence is imported by runtime.services and runtime.databases alone",
            {"runtime/planted.py": "import persistence.tables"},
        ),
        ("the domain is pure", {"domain/planted.py": "import asyncio"}),
        ("the domain is pure", {"domain/planted.py": "import sqlalchemy"}),
        ("gql and runtime know no database and no index", {"runtime/planted.py": "import sqlalchemy"}),
        ("gql and runtime know no database and no index", {"gql/planted.py": "import asyncpg"}),
        (
            "node kinds do not know each other",
            {"runtime/nodes/planted.py": "import runtime.nodes.planted_too", "runtime/nodes/planted_too.py": ""},
        ),
        (
            "siblings have no cycles",
            {"runtime/planted.py": "import runtime.planted_too", "runtime/planted_too.py": "import runtime.planted"},
        ),
    ],
)
def test_a_planted_violation_breaks_its_contract(tree: Path, contract: str, planted: Mapping[str, str]) -> None:
    for name, text in planted.items():
        (tree / name).write_text(f"{text}\n")
    done = lint_imports(tree)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout
    explained = done.stdout.rpartition("Broken contracts")[2].partition(f"\n{contract}\n---")[2]
    assert "planted" in explained.partition("\n---")[0]


# ── the recipes ──


def recipes() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_recipes_of_the_design_exist() -> None:
    promised = {"setup", "demo", "dev", "serve", "test", "test-long", "check", "fmt", "bench", "schema", "migration"}
    assert promised <= recipes()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".pre-commit-config.yaml", ".ci/run", ".env.example"])
def test_every_recipe_that_a_text_names_exists(name: str) -> None:
    called = set(re.findall(r"(?:`|: |setup |test |check |long )make ([a-z-]+)", (ROOT / name).read_text()))
    assert called
    assert called <= recipes()


def test_pre_commit_has_local_hooks_only() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: *(\S+)", text) == ["local"]
    assert all(entry.startswith("make ") for entry in re.findall(r"entry: *(.+)", text))
