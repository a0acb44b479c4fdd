"""The example of a client in Python, installed as its page says, against a live server over a line that breaks."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphql import build_schema, parse, validate

from tests.support import client_promises as promises
from tests.support.client_examples import run_program, serving_example

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.client_examples import Finished

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("examples", "clients", "python")

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Place:
    """The example with its environment."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / ".venv" / "bin" / "python")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Copy what is in the repository, and do what the page says, in an environment of its own."""
    root = tmp_path_factory.mktemp("python")
    ignored = shutil.ignore_patterns("__pycache__", ".venv")
    shutil.copytree(ROOT / EXAMPLE, root / EXAMPLE, ignore=ignored)
    made = Place(root / EXAMPLE)
    venv.create(made.folder / ".venv", symlinks=True, with_pip=True)
    pip = ("-m", "pip", "--no-input", "install", "-q", "--require-hashes", "-r", "requirements.txt")
    done = asyncio.run(run_program((made.python, *pip), made.folder, os.environ))
    assert done.status == 0, done.complaints
    return made


@pytest.fixture
def start(place: Place) -> promises.Start:
    async def started(environment: Mapping[str, str], hear: Callable[[str], None] = lambda _: None) -> Finished:
        return await run_program((place.python, "main.py", "a river"), place.folder, environment, hear)

    return started


async def test_every_event_comes_once_and_in_order_though_the_line_breaks(
    start: promises.Start, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.keeps_each_event_once_and_in_order(start, served)


async def test_they_do_so_even_if_it_breaks_at_each(start: promises.Start, database_url: str, data_dir: Path) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.keeps_them_though_the_line_breaks_at_each(start, served)


@pytest.mark.parametrize("code", [1000, 1011])
async def test_they_do_so_when_sockets_are_closed(
    start: promises.Start, code: int, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.keeps_them_though_sockets_are_closed(start, served, code)


async def test_the_pages_of_a_connection_come_one_after_the_other(
    start: promises.Start, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.lists_all_pages(start, served)


async def test_a_run_that_fails_is_told_and_is_no_success(
    start: promises.Start, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.tells_of_a_run_that_fails(start, served)


async def test_who_is_not_let_in_is_told_why(start: promises.Start, database_url: str, data_dir: Path) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.tells_who_is_not_let_in(start, served)


async def test_a_key_that_is_revoked_meanwhile_ends_the_program_instead_of_trying_for_ever(
    start: promises.Start, database_url: str, data_dir: Path
) -> None:
    async with serving_example(database_url, data_dir) as served:
        await promises.ends_when_its_key_is_revoked(start, served)


async def test_its_types_hold_and_its_documents_are_those_of_the_schema(place: Place) -> None:
    (place.folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "venvPath": ".", "venv": ".venv", "pythonVersion": "3.11"})
    )
    checked = await run_program(
        (sys.executable, "-m", "basedpyright", "client.py", "follow.py", "main.py"), place.folder, os.environ
    )
    assert checked.status == 0, checked.lines
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    texts = [(place.folder / f"{name}.py").read_text(encoding="utf-8") for name in ("main", "follow")]
    documents = [
        one for text in texts for one in re.findall(r'"""\n((?:mutation|query|subscription) .*?)"""', text, re.DOTALL)
    ]
    assert len(documents) == 5
    assert {document.split("(")[0]: validate(schema, parse(document)) for document in documents} == {
        document.split("(")[0]: [] for document in documents
    }
