"""Error codes that searching in a collection and writing to it share."""

from __future__ import annotations

from typing import Final

from domain.kinds import ErrorCode

CODES: Final = (
    ErrorCode("COLLECTION_NOT_FOUND", "No such collection.", is_retryable=False),
    ErrorCode(
        "CONNECTION_NOT_FOUND", "The collection's embedder is a connection that is not there.", is_retryable=False
    ),
    ErrorCode(
        "DIMENSION_MISMATCH", "The embedder's vectors have another length than the collection's.", is_retryable=False
    ),
    ErrorCode(
        "MODEL_REFUSED", "The embedding API refused the request, or the server has another model.", is_retryable=False
    ),
    ErrorCode("MODEL_UNAVAILABLE", "The embedder cannot be reached or loaded.", is_retryable=True),
    ErrorCode("RATE_LIMITED", "The embedding API takes no more requests for now.", is_retryable=True),
    ErrorCode("INVALID_RESPONSE", "The embedding API's answer has no vectors that can be used.", is_retryable=True),
    ErrorCode("ADDRESS_REFUSED", "The embedding API is in a private network that is not allowed.", is_retryable=False),
    ErrorCode("INVALID_URL", "The connection's address cannot be asked for.", is_retryable=False),
    ErrorCode("CONFLICT", "The collection changed again and again meanwhile.", is_retryable=True),
)
