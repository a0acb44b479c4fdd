"""PostgreSQL servers for tests, also such as may be stopped and started."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from persistence import embedded

if TYPE_CHECKING:
    from collections.abc import Generator


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server of a test's own, which may be stopped and started."""

    data_dir: Path
    url: str

    async def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` does so as a crash would."""
        await asyncio.to_thread(embedded.stop, self.data_dir / "postgres", mode)

    async def start(self) -> None:
        """Start the server again, at the same URL."""
        assert await asyncio.to_thread(embedded.start, self.data_dir / "postgres") == self.url


@contextmanager
def own_postgres() -> Generator[Postgres]:
    """Run a server in a directory of its own, as durable as in production."""
    with TemporaryDirectory(prefix="anabranch-") as directory:
        cluster = embedded.join(Path(directory))
        try:
            yield Postgres(Path(directory), cluster.url)
        finally:
            # Nobody needs what an orderly stop would write.
            embedded.stop(cluster.directory, "immediate")
            embedded.leave(cluster)
