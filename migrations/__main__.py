"""Migrations on a PostgreSQL made for the moment: `python -m migrations check`, `python -m migrations new MESSAGE`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from persistence.embedded import embedded_postgres
from persistence.migrate import drift, migrate, write_migration


async def check() -> int:
    """Say in what the migrations differ from `tables.py`; return the exit code."""
    with TemporaryDirectory() as directory:
        async with embedded_postgres(Path(directory)) as url:
            await migrate(url)
            differences = await drift(url)
    for difference in differences:
        sys.stderr.write(f"{difference}\n")
    return 1 if differences else 0


async def write(message: str) -> int:
    """Write the migration from the newest one to `tables.py`; return the exit code."""
    with TemporaryDirectory() as directory:
        async with embedded_postgres(Path(directory)) as url:
            await migrate(url)
            await write_migration(url, message)
    return 0


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit code."""
    match arguments:
        case ["check"]:
            return asyncio.run(check())
        case ["new", message]:
            return asyncio.run(write(message))
        case _:
            sys.stderr.write("Use `python -m migrations check` or `python -m migrations new MESSAGE`.\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
