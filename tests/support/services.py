"""All services of the application on a test's database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from runtime.services import open_services
from runtime.settings import Settings
from tests.support.identity import ENCRYPTION_KEY, TOKEN_KEY
from tests.support.local_embedder import embedding_settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from runtime.services import Services


def settings_on(database_url: str, data_dir: Path) -> Settings:
    """Return settings that depend on nothing outside the test."""
    return Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        data_dir=data_dir,
        database_url=SecretStr(database_url),
        token_keys=(SecretStr(TOKEN_KEY),),
        encryption_keys=(SecretStr(ENCRYPTION_KEY),),
        embedding=embedding_settings(),
    )


@asynccontextmanager
async def open_test_services(database_url: str, data_dir: Path) -> AsyncGenerator[Services]:
    """Open the services as the server does."""
    async with open_services(settings_on(database_url, data_dir)) as services:
        yield services
