"""Vectors of texts from model APIs in the manner of OpenAI's: in batches, behind the guard."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import openai

from domain.collections import MAX_DIMENSION, MAX_VECTOR_NUMBER
from domain.errors import NodeFault
from domain.rate_limits import NoRoom
from runtime.clients.openai_faults import OpenaiFaults, as_model_fault
from runtime.clients.openai_transport import open_client
from runtime.hidden import Hidden
from runtime.patience import answered_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from domain.ports.outbound import HttpClient

BATCH: Final = 10
"""Texts in one request: what the strictest API of note takes (DashScope's `text-embedding-v4`)."""
_AT_ONCE: Final = 4
_REQUEST_TIMEOUT_S: Final = 60.0
_ATTEMPTS: Final = 3
LONGEST_WAIT_S: Final = 10.0
"""What is waited for without giving up, when an API says when to come back."""
_SHORTEST_WAIT_S: Final = 0.5


class OpenaiEmbedder:
    """A model at one address with one key; implements `Embedder` of the ports."""

    def __init__(self, base_url: str, api_key: str | None, model: str, http: HttpClient) -> None:
        self._model = model
        self._client = open_client(base_url, api_key, http)
        self._faults = OpenaiFaults(Hidden([api_key]))

    async def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        """Return `(n, dim)` float32, one row for each text.

        Raises:
            NodeFault: `MODEL_REFUSED`, `MODEL_UNAVAILABLE`, `RATE_LIMITED`, `INVALID_RESPONSE`, `ADDRESS_REFUSED`,
                `INVALID_URL`.
        """
        del is_query  # these APIs know no difference
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(batch: Sequence[str]) -> NDArray[np.float32]:
            async with limit:
                return await self._patiently(batch)

        try:
            async with asyncio.TaskGroup() as tasks:
                works = [
                    tasks.create_task(one(texts[start : start + BATCH]), name="embedding")
                    for start in range(0, len(texts), BATCH)
                ]
        except* NodeFault as faults:
            raise _first(faults) from None
        parts = [work.result() for work in works]
        if len({part.shape[1] for part in parts}) > 1:
            raise _unreadable("vectors of different lengths")
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    async def _patiently(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Ask, and ask again when the API says when to; a wait that is too long is the caller's affair."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._ask(batch)
            except NoRoom:
                raise  # whoever waits for room has waited already
            except NodeFault as fault:
                wait_s = max(fault.retry_after_s or _SHORTEST_WAIT_S * 2**attempt, _SHORTEST_WAIT_S)
                if fault.code != "RATE_LIMITED" or not fault.is_retryable or attempt == _ATTEMPTS:
                    raise
                if wait_s > LONGEST_WAIT_S:
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, batch: Sequence[str]) -> NDArray[np.float32]:
        try:
            async with answered_within(_REQUEST_TIMEOUT_S):
                answer = await self._client.embeddings.create(
                    model=self._model, input=list(batch), encoding_format="float"
                )
        except TimeoutError:
            message = f"The model API did not answer within {_REQUEST_TIMEOUT_S:g} s."
            raise NodeFault("MODEL_UNAVAILABLE", message, is_retryable=True) from None
        except openai.OpenAIError as error:
            raise self._faults.of(error) from None
        except NodeFault as fault:
            raise as_model_fault(fault) from None
        except (ValueError, TypeError, AttributeError):  # json, or a shape that is none of an answer
            raise _unreadable("no list of vectors") from None
        return read_vectors(getattr(cast("Any", answer), "data", None), len(batch))


def read_vectors(items: Any, count: int) -> NDArray[np.float32]:
    """Return the vectors of an answer in the order of the texts.

    Raises:
        NodeFault: `INVALID_RESPONSE`: a wrong count, ragged lengths, NaN or infinity, or no vectors at all.
    """
    try:
        ordered = sorted(items, key=lambda item: item.index)
        vectors = [[float(number) for number in item.embedding] for item in ordered]
        places = [item.index for item in ordered]
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise _unreadable("no list of vectors") from None
    if places != list(range(count)):
        raise _unreadable(f"{len(vectors)} vectors for {count} texts, or not one for each")
    lengths = {len(vector) for vector in vectors}
    if len(lengths) != 1 or not 1 <= min(lengths) <= MAX_DIMENSION:
        raise _unreadable("vectors of different lengths" if len(lengths) > 1 else "vectors that are empty or too long")
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise _unreadable("numbers that are not finite")
    with np.errstate(over="ignore"):
        read = np.asarray(vectors, np.float32)
    if not (np.abs(read) <= MAX_VECTOR_NUMBER).all():
        raise _unreadable("numbers that are too large")
    return read


def _unreadable(what: str) -> NodeFault:
    return NodeFault("INVALID_RESPONSE", f"The embedding API's answer has {what}.", is_retryable=True)


def _first(faults: BaseExceptionGroup[NodeFault]) -> NodeFault:
    inner = faults.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
