"""How many SQL statements something executes."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import Engine, event

if TYPE_CHECKING:
    from collections.abc import Generator

    from persistence.database import Database

_here: ContextVar[Statements | None] = ContextVar("statements", default=None)


@dataclass
class Statements:
    """What was executed, in order; transaction control is not among it."""

    texts: list[str] = field(default_factory=list[str])

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.texts)

    def __str__(self) -> str:
        """Show them one beneath the other, for the message of a failed assertion."""
        return "\n".join(" ".join(text.split()) for text in self.texts)


@contextmanager
def counting(database: Database | None = None, *, with_driver: bool = False) -> Generator[Statements]:
    """Count the statements that a block executes on a database, or on any if none is named.

    with counting(database) as statements:
        await api.run("{workflows {nodes {updatedBy {name}}}}")
    assert statements.count == 2, statements

    Those that pass SQLAlchemy by (`Database.driver`) count `with_driver`, on whichever database.

    What other tasks execute meanwhile is not counted: only what this task does, and tasks that it starts.
    """
    statements = Statements()
    engine = Engine if database is None else database._engine.sync_engine
    token = _here.set(statements)

    def remember(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _here.get() is statements:
            statements.texts.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    driver: Any = asyncpg.Connection
    fetch = driver.fetch

    async def fetch_and_remember(connection: Any, query: str, *values: Any, **how: Any) -> Any:
        remember(None, None, query)
        return await fetch(connection, query, *values, **how)

    try:
        if with_driver:
            driver.fetch = fetch_and_remember
        yield statements
    finally:
        driver.fetch = fetch
        event.remove(engine, "before_cursor_execute", remember)
        _here.reset(token)
