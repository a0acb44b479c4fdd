"""A caller of the API whose workflows ask a model: all services on a database of the test's own, and the model that answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from domain.ids import Prefix, RunId, from_global
from runtime.services import open_services
from runtime.settings import OutboundSettings
from tests.support.openai_endpoint import OpenaiEndpoint, openai_endpoint
from tests.support.services import settings_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from runtime.services import Services
    from runtime.settings import LlmSettings
    from tests.support.api import Api


class ModelClient:
    """The caller."""

    def __init__(self, api: Api, caller: Principal, endpoint: OpenaiEndpoint) -> None:
        self.api = api
        self.caller = caller
        self.endpoint = endpoint

    async def ask(self, document: str, **given: Any) -> Any:
        """Ask for a change, and return the one payload of the answer."""
        answered = await self.api.run(document, {"i": given}, caller=self.caller)
        assert answered.errors == []
        (payload,) = answered.data.values()
        assert payload["userErrors"] == []
        return payload

    async def show(self, document: str, run_id: str) -> Any:
        """Read a run."""
        answered = await self.api.run(document, {"id": run_id}, caller=self.caller)
        assert answered.errors == []
        return answered.data["run"]

    async def await_end(self, run_id: str) -> None:
        """Wait for the end of a run."""
        async for _ in self.api.services.runs.follow(self.caller, RunId(from_global(Prefix.RUN, run_id)), None):
            pass


@asynccontextmanager
async def services_with_model(
    database_url: str, data_dir: Path, llm: LlmSettings
) -> AsyncGenerator[tuple[Services, OpenaiEndpoint]]:
    """Open the services with a model of the test's own."""
    async with openai_endpoint() as endpoint:
        changed = {
            "llm": llm.model_copy(update={"base_url": endpoint.base_url}),
            "outbound": OutboundSettings(allowed=(endpoint.allowed,)),
        }
        async with open_services(settings_on(database_url, data_dir).model_copy(update=changed)) as services:
            yield services, endpoint
