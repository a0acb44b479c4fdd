from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from domain.errors import DatabaseUnavailable, SetupFault
from persistence.database import open_database
from persistence.embedded import embedded_postgres, join, leave

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

_TIMEOUT_S = 30.0

# Uses the server until its standard input is closed.
_OTHER = """
import asyncio, sys
from pathlib import Path
from persistence.embedded import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory whose PostgreSQL has been made and is stopped."""
    data_dir = tmp_path_factory.mktemp("made")
    leave(join(data_dir))
    return data_dir


@asynccontextmanager
async def _other_process(data_dir: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """Run another process that uses the server; killed at the end unless it has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", _OTHER, str(data_dir)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            url = (await process.stdout.readline()).decode().strip()
        yield process, url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _leave(process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        await process.communicate(b"")
    assert process.returncode == 0


async def _is_running(url: str) -> bool:
    async with open_database(url) as database:
        try:
            await database.check()
        except DatabaseUnavailable:
            return False
        return True


async def test_the_first_to_come_starts_a_durable_server_and_the_last_to_leave_stops_it(tmp_path: Path) -> None:
    visits = 0
    for _ in range(2):
        async with embedded_postgres(tmp_path) as url:
            connection = await asyncpg.connect(url)
            shown = [
                await connection.fetchval(f"SHOW {name}")
                for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "server_encoding")
            ]
            assert shown == ["on", "on", "on", "", "UTF8"]
            await connection.execute("CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now())")
            await connection.execute("INSERT INTO visits DEFAULT VALUES")
            visits = await connection.fetchval("SELECT count(*) FROM visits")
            await connection.close()
        assert not await _is_running(url)
    assert visits == 2


async def test_processes_share_a_server_until_the_last_leaves(made: Path) -> None:
    async with _other_process(made) as (other, url):
        async with embedded_postgres(made) as same:
            assert same == url
        assert await _is_running(url)
        async with embedded_postgres(made):
            await _leave(other)
            assert await _is_running(url)
    assert not await _is_running(url)


async def test_processes_that_come_together_get_one_server(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path), _other_process(tmp_path) as (_, one), _other_process(tmp_path) as (_, two):
        assert one == two
        assert await _is_running(one)


async def test_a_killed_process_does_not_keep_the_server_from_stopping(made: Path) -> None:
    async with _other_process(made) as (other, url):
        other.send_signal(signal.SIGKILL)
        await other.wait()
    assert await _is_running(url)
    async with embedded_postgres(made) as same:
        assert same == url
    assert not await _is_running(url)


async def test_a_process_killed_while_others_use_the_server_counts_no_longer(made: Path) -> None:
    async with embedded_postgres(made) as url:
        async with _other_process(made) as (other, _):
            other.send_signal(signal.SIGKILL)
            await other.wait()
        assert await _is_running(url)
    assert not await _is_running(url)


async def test_a_pid_that_another_program_has_by_now_is_no_server(made: Path) -> None:
    async with embedded_postgres(made) as url:
        lines = (made / "postgres" / "postmaster.pid").read_text().splitlines()
    # As a crash of the machine leaves it; the program is this one.
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (made / "postgres" / name).write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with embedded_postgres(made) as again:
        assert again == url
        assert await _is_running(url)


async def test_a_server_that_crashed_is_started_again(made: Path) -> None:
    async with embedded_postgres(made) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept ()")
        is_lost = asyncio.Event()
        connection.add_termination_listener(lambda _: is_lost.set())
        os.kill(int((made / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)
        # Every backend leaves when the postmaster is gone; a new server cannot start before.
        async with asyncio.timeout(_TIMEOUT_S):
            await is_lost.wait()
        async with embedded_postgres(made) as again:
            connection = await asyncpg.connect(again)
            assert await connection.fetchval("SELECT count(*) FROM kept") == 0
            await connection.close()


@pytest.mark.parametrize(
    "name", [f"{'long' * 20}/{'longer' * 20}", "it's a $HOME & 100%?#ü"], ids=["longer than a socket's", "characters"]
)
async def test_every_path_works(made: Path, tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    data_dir.mkdir(parents=True)
    # Moved there and back, since making another takes long.
    (made / "postgres").rename(data_dir / "postgres")
    try:
        async with embedded_postgres(data_dir) as url, embedded_postgres(data_dir) as same:
            assert same == url
            assert await _is_running(url)
        assert not await _is_running(url)
    finally:
        (data_dir / "postgres").rename(made / "postgres")


async def test_nobody_but_the_owner_may_connect(made: Path) -> None:
    async with embedded_postgres(made) as url:
        (host,) = parse_qs(urlsplit(url).query)["host"]
        assert (made / "postgres" / ".s.PGSQL.5432").is_socket()
        assert host == str(made / "postgres")
        assert (made / "postgres" / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
        assert (made / "postgres").stat().st_mode & 0o777 == 0o700


async def test_a_directory_of_another_major_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(SetupFault, match="was made by PostgreSQL 16, but this version of Anabranch carries") as caught:
        async with embedded_postgres(tmp_path):
            pass
    assert "\n" not in caught.value.message
    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["PG_VERSION"]


async def test_a_server_that_cannot_start_is_a_fault_of_the_setup_and_no_longer_counted(made: Path) -> None:
    async with embedded_postgres(made):
        pass
    configuration = made / "postgres" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nnonsense = 1\n")
    with pytest.raises(SetupFault, match="does not start"):
        async with embedded_postgres(made):
            pass
    configuration.write_text(good)
    async with embedded_postgres(made) as url:
        assert await _is_running(url)
    assert not await _is_running(url)


async def test_a_making_that_was_interrupted_is_begun_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    async with embedded_postgres(tmp_path) as url:
        assert await _is_running(url)
    assert not half.exists()


async def test_a_data_directory_that_is_a_file_is_a_fault_of_the_setup(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SetupFault, match="cannot use"):
        async with embedded_postgres(tmp_path / "data"):
            pass


async def test_leaving_by_cancellation_stops_the_server(made: Path) -> None:
    has_come: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def use() -> None:
        async with embedded_postgres(made) as url:
            has_come.set_result(url)
            await asyncio.Event().wait()

    task = asyncio.create_task(use(), name="using")
    url = await has_come
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await _is_running(url)


async def test_being_cancelled_while_it_starts_leaves_no_server(tmp_path: Path) -> None:
    async def use() -> None:
        async with embedded_postgres(tmp_path):
            pass

    task = asyncio.create_task(use(), name="using")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "postgres" / "PG_VERSION").exists()
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
