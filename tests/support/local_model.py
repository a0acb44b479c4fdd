"""The real small language model, started once for all tests of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.local_model import LocalModel, running_local_model

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def real_model() -> Iterator[LocalModel]:
    """Yield where the model answers; 4,096 tokens of context for two requests at once."""
    with running_local_model() as model:
        yield model
