"""Where the process's own words go: one line for each on standard error, JSON unless a person looks at it."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_MAX_END = 16_384
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def configure_logs(*, is_for_people: bool | None = None) -> None:
    """Send the lines of structlog and of the standard library's loggers to standard error, from WARNING on for others'.

    `is_for_people` of None = as standard error is a terminal or not.
    """
    is_terminal = sys.stderr.isatty() if is_for_people is None else is_for_people
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        _on_one_line,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if is_terminal
        else [structlog.processors.format_exc_info, _in_bounds, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("gql", "persistence", "runtime"):
        logging.getLogger(ours).setLevel(logging.INFO)


def _on_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep what others wrote from breaking out of its line or steering a terminal."""
    event["event"] = _CONTROL.sub(" ", str(event.get("event", "")))
    return event


def _in_bounds(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep both ends of a traceback whose error repeats something long, such as a statement of SQL."""
    told = event.get("exception")
    if isinstance(told, str) and len(told) > 2 * _MAX_END:
        event["exception"] = f"{told[:_MAX_END]}\n…\n{told[-_MAX_END:]}"
    return event
