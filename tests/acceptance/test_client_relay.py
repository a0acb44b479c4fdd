"""The example of a client with Relay, installed and built as its page says, against a live server over a line that breaks."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import client_promises as promises
from tests.support.client_examples import run_program, serving_example
from tests.support.node import find_node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.client_examples import Finished

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("examples", "clients", "relay")

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> promises.Start:
    """Copy what is in the repository, and do what the page says."""
    root = tmp_path_factory.mktemp("relay")
    shutil.copy(ROOT / "schema.graphql", root)
    ignored = shutil.ignore_patterns("node_modules", "dist", "__generated__")
    shutil.copytree(ROOT / EXAMPLE, root / EXAMPLE, ignore=ignored)
    node = find_node()

    async def build() -> None:
        for command in (("ci", "--ignore-scripts"), ("run", "build")):
            done = await run_program((*node.npm, *command), root / EXAMPLE, node.environment)
            assert done.status == 0, [*done.lines, done.complaints]

    async def started(environment: Mapping[str, str], hear: Callable[[str], None] = lambda _: None) -> Finished:
        return await run_program((str(node.program), "dist/main.js", "a river"), root / EXAMPLE, environment, hear)

    asyncio.run(build())
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


async def test_the_store_joins_the_pages_of_a_connection(
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
