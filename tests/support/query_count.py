"""How many SQL statements something executes."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
def counting(database: Database | None = None) -> Generator[Statements]:
    """Count the statements that a block executes on a database, or on any if none is named.

    with counting(database) as statements:
        await api.run("{workflows {nodes {updatedBy {name}}}}")
    assert statements.count == 2, statements

    What other tasks execute meanwhile is not counted: only what this task does, and tasks that it starts.
    """
    statements = Statements()
    engine = Engine if database is None else database._engine.sync_engine
    token = _here.set(statements)

    def remember(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _here.get() is statements:
            statements.texts.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", remember)
        _here.reset(token)
