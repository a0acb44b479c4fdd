"""What most tests of the API use: all services on a database of the test's own, the API before them, and somebody who asks.

A module that needs others, such as services with a model, defines fixtures of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gql.schema import build_schema
from runtime.settings import Settings
from tests.support.api import Api
from tests.support.identity import make_principal
from tests.support.services import open_test_services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from persistence.database import Database
    from runtime.services import Services


@pytest.fixture(scope="session")
def schema() -> Any:
    """Build the schema once: it takes longer than most tests."""
    return build_schema(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncGenerator[Services]:
    """Open the services."""
    async with open_test_services(database_url, tmp_path) as services:
        yield services


@pytest.fixture
async def api(schema: Any, services: Services) -> Api:
    """Give the API of the services."""
    return Api(schema, services)


@pytest.fixture
async def ada(database: Database) -> Principal:
    """Make a person with a workspace of her own."""
    return await make_principal(database, "ada")
