from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from domain.errors import NodeFault
from runtime.clients import embeddings
from runtime.clients.embeddings import BATCH, OpenaiEmbedder
from runtime.clients.http import open_http
from runtime.clients.outbound import OutboundGuard
from runtime.patience import waiting_for_room
from tests.support.openai_endpoint import Answer, OpenaiEndpoint, openai_endpoint, refusal, vector_of, vectors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.ports.outbound import HttpClient, OutboundRequest, OutboundResponse

KEY = "sk-very-secret"


@asynccontextmanager
async def embedder_at(
    endpoint: OpenaiEndpoint, *, is_allowed: bool = True, port: int | None = None
) -> AsyncGenerator[OpenaiEmbedder]:
    guard = OutboundGuard([f"127.0.0.1:{port or endpoint.port}"] if is_allowed else [], [])
    async with open_http(guard, connect_timeout_s=5) as http:
        yield OpenaiEmbedder(f"http://127.0.0.1:{port or endpoint.port}/v1", KEY, "embedding-1", http)


async def fault_of(embedder: OpenaiEmbedder, *texts: str) -> NodeFault:
    with pytest.raises(NodeFault) as caught:
        await embedder.embed(texts or ["one"])
    return caught.value


async def test_texts_go_out_in_batches_and_their_vectors_come_back_in_order() -> None:
    texts = [f"text {number}" for number in range(2 * BATCH + 3)]
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        found = await embedder.embed(texts)
    assert (found.shape, found.dtype) == ((len(texts), 8), np.float32)
    assert np.allclose(found, [vector_of(text, 8) for text in texts])
    assert sorted(len(request.body["input"]) for request in endpoint.requests) == [3, BATCH, BATCH]
    first = endpoint.requests[0]
    assert (first.body["model"], first.body["encoding_format"]) == ("embedding-1", "float")
    assert first.headers["Authorization"] == f"Bearer {KEY}"


async def test_nothing_is_asked_for_no_texts() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        assert (await embedder.embed([])).shape == (0, 0)
    assert endpoint.requests == []


async def test_vectors_are_sorted_by_their_index() -> None:
    answer = vectors([[1.0, 0.0], [0.0, 1.0]])
    answer["data"].reverse()
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(Answer(body=answer))
        assert (await embedder.embed(["a", "b"])).tolist() == [[1.0, 0.0], [0.0, 1.0]]


async def test_an_api_that_says_when_to_come_back_is_asked_again_then() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(refusal(429, "slow down", {"Retry-After": "1"}))
        begun = asyncio.get_running_loop().time()
        assert (await embedder.embed(["one"])).shape == (1, 8)
        assert 1 <= asyncio.get_running_loop().time() - begun < 5
    assert len(endpoint.requests) == 2


async def test_a_wait_that_is_too_long_is_left_to_the_caller_who_is_told_how_long() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(refusal(429, "come back tomorrow", {"Retry-After": "3600"}))
        fault = await fault_of(embedder)
    assert (fault.code, fault.is_retryable, fault.retry_after_s) == ("RATE_LIMITED", True, 3600)
    assert "come back tomorrow" in fault.message
    assert len(endpoint.requests) == 1


async def test_an_empty_account_is_not_waited_for() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(refusal(429, "no money", code="insufficient_quota"))
        fault = await fault_of(embedder)
    assert (fault.code, fault.is_retryable) == ("RATE_LIMITED", False)


BROKEN: dict[str, Any] = {
    "too few": vectors([[1.0, 2.0]]),
    "too many": vectors([[1.0], [2.0], [3.0]]),
    "ragged": vectors([[1.0, 2.0], [1.0]]),
    "empty": vectors([[], []]),
    "NaN": vectors([[1.0, float("nan")], [1.0, 2.0]]),
    "infinite": vectors([[1.0, float("inf")], [1.0, 2.0]]),
    "too large for 32 bits": vectors([[1.0, 1e300], [1.0, 2.0]]),
    "too large for products": vectors([[1.0, 1e30], [1.0, 2.0]]),
    "the same place twice": {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
    "no numbers": vectors([["a", "b"], ["c", "d"]]),  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    "base64": {"data": [{"index": 0, "embedding": "AACAPw=="}, {"index": 1, "embedding": "AACAPw=="}]},
    "no vectors": {"data": None},
    "no object": ["hello"],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_an_answer_without_one_sound_vector_for_each_text_is_refused(broken: Any) -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(Answer(body=broken))
        fault = await fault_of(embedder, "one", "two")
    assert (fault.code, fault.is_retryable) == ("INVALID_RESPONSE", True)


async def test_batches_of_different_lengths_are_refused() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(Answer(body=vectors([[1.0]] * BATCH)), Answer(body=vectors([[1.0, 2.0]] * BATCH)))
        fault = await fault_of(embedder, *map(str, range(2 * BATCH)))
    assert (fault.code, "different lengths" in fault.message) == ("INVALID_RESPONSE", True)


async def test_an_api_that_refuses_is_told_without_the_key() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint) as embedder:
        endpoint.script(refusal(401, f"the key {KEY} is unknown"))
        fault = await fault_of(embedder)
    assert (fault.code, fault.is_retryable) == ("MODEL_REFUSED", False)
    assert KEY not in fault.message
    assert "•••" in fault.message


async def test_an_endpoint_that_cannot_be_reached_is_unavailable() -> None:
    async with openai_endpoint() as endpoint:
        port = endpoint.port
    async with embedder_at(endpoint, port=port) as embedder:
        fault = await fault_of(embedder)
    assert (fault.code, fault.is_retryable) == ("MODEL_UNAVAILABLE", True)


async def test_a_private_address_that_is_not_allowed_is_refused() -> None:
    async with openai_endpoint() as endpoint, embedder_at(endpoint, is_allowed=False) as embedder:
        fault = await fault_of(embedder)
    assert (fault.code, fault.is_retryable) == ("ADDRESS_REFUSED", False)
    assert endpoint.requests == []


async def test_a_batch_that_waits_for_room_has_its_whole_time_when_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_REQUEST_TIMEOUT_S", 1.0)

    class Crowded:
        """Has room after a second and a half."""

        def __init__(self, http: HttpClient) -> None:
            self._http = http

        @asynccontextmanager
        async def send(self, request: OutboundRequest) -> AsyncGenerator[OutboundResponse]:
            """Send late."""
            with waiting_for_room():
                await asyncio.sleep(1.5)  # longer than the time for an answer, which is what is tested
            async with self._http.send(request) as response:
                yield response

    async with (
        openai_endpoint() as endpoint,
        open_http(OutboundGuard([f"127.0.0.1:{endpoint.port}"], []), connect_timeout_s=5) as http,
    ):
        embedder = OpenaiEmbedder(f"http://127.0.0.1:{endpoint.port}/v1", KEY, "embedding-1", Crowded(http))
        assert len(await embedder.embed(["one"])) == 1
