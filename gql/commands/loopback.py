"""What `dev` and `demo` make of the settings: this machine only, and a model of its own where none is configured."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from runtime.clients.local_embeddings import DEFAULT_MODEL
from runtime.local_embedder import MODEL_NAME, assemble, find_missing
from runtime.local_model import local_model
from runtime.settings import EmbeddingSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.console import Console

    from runtime.settings import OutboundSettings, Settings

HOST = "127.0.0.1"
_QWEN_URL = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
_QWEN_MODEL = "qwen-plus"
"""Where a key without an address belongs."""


def address_of(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens there."""
    # Nobody can connect to "every address"; this machine answers at its loopback.
    reachable = {"0.0.0.0": HOST, "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


def on_loopback(settings: Settings, port: int) -> Settings:
    """Return the settings for this machine alone; nodes may reach the server itself beside what is allowed already."""
    return settings.model_copy(
        update={
            "host": HOST,
            "port": port,
            "database_url": None,
            "is_development": True,
            "outbound": _allowing(settings, f"{HOST}:{port}"),
        }
    )


@contextlib.asynccontextmanager
async def with_model(settings: Settings, console: Console) -> AsyncGenerator[Settings]:
    """Yield settings that have a model: the configured endpoint, for a key alone Qwen's, else the local one, started here.

    Raises:
        SetupFault: none is configured and the local one cannot be started.
    """
    llm = settings.llm
    if llm.api_key and not llm.base_url:
        llm = llm.model_copy(update={"base_url": _QWEN_URL, "model": llm.model or _QWEN_MODEL})
    if llm.base_url:
        endpoint = urlsplit(llm.base_url).netloc
        told = f"Model: {llm.model or 'the default'} at {endpoint} (as configured)"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        yield settings.model_copy(update={"llm": llm})
        return
    async with contextlib.AsyncExitStack() as stack:
        with console.status("Starting the local model …"):
            model = await stack.enter_async_context(local_model())
        told = f"Model: {model.model} on this machine (no ANABRANCH_LLM__API_KEY is set)"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        llm = settings.llm.model_copy(update={"base_url": model.base_url, "model": model.model, "api_key": None})
        yield settings.model_copy(update={"llm": llm, "outbound": _allowing(settings, model.address)})


async def with_embedder(settings: Settings, console: Console) -> Settings:
    """Return settings that have an embedding model: the configured one, else the small one that is installed here."""
    if settings.embedding.model or settings.embedding.model_path:
        console.print(
            f"Embeddings: {settings.embedding.model or DEFAULT_MODEL} (as configured)", markup=False, soft_wrap=True
        )
        return settings
    missing = await asyncio.to_thread(find_missing)
    if missing is not None:
        console.print(f"Embeddings: {DEFAULT_MODEL}, downloaded at first use. {missing}", markup=False, soft_wrap=True)
        return settings
    path = await asyncio.to_thread(assemble, settings.data_dir.absolute() / "embedder")
    console.print(f"Embeddings: {MODEL_NAME} on this machine", markup=False, highlight=False)
    return settings.model_copy(update={"embedding": EmbeddingSettings(model=MODEL_NAME, model_path=path)})


def _allowing(settings: Settings, address: str) -> OutboundSettings:
    allowed = tuple(dict.fromkeys((*settings.outbound.allowed, address)))
    return settings.outbound.model_copy(update={"allowed": allowed})


class Told(BaseModel):
    """What the demo tells its server: what differs from the environment's settings; keys are never passed on, the child has the same environment."""

    model_config = ConfigDict(frozen=True)

    listener: int
    port: int
    data_dir: Path
    base_url: str | None
    model: str | None
    allowed: tuple[str, ...]
    embedding: EmbeddingSettings = EmbeddingSettings()

    @classmethod
    def of(cls, settings: Settings, listener: int) -> Told:
        """Return what the child must know to serve with these settings, which are those of `on_loopback`."""
        llm, allowed = settings.llm, settings.outbound.allowed
        return cls(
            listener=listener,
            port=settings.port,
            data_dir=settings.data_dir.absolute(),
            base_url=llm.base_url,
            model=llm.model,
            allowed=allowed,
            embedding=settings.embedding,
        )

    def settings(self, plain: Settings) -> Settings:
        """Return the environment's settings with the differences."""
        return plain.model_copy(
            update={
                "host": HOST,
                "port": self.port,
                "data_dir": self.data_dir,
                "database_url": None,
                "is_development": True,
                "embedding": self.embedding,
                "llm": plain.llm.model_copy(update={"base_url": self.base_url, "model": self.model}),
                "outbound": plain.outbound.model_copy(update={"allowed": self.allowed}),
            }
        )
