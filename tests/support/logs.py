"""The process's logging, put back after a test that configures it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def logs_as_before() -> Generator[None]:
    """Leave handlers and levels as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    ours = {name: logging.getLogger(name).level for name in ("gql", "persistence", "runtime")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in ours.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
