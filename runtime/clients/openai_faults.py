"""What the errors of the `openai` client mean for a node that asks a model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import openai

from domain.errors import NodeFault
from domain.retry_after import retry_after_s

if TYPE_CHECKING:
    from runtime.hidden import Hidden

_MAX_MESSAGE_CHARS = 300
_RATE_LIMITED = 429
_UNAVAILABLE = frozenset({408, 409, 425})
_SERVER_ERRORS = 500


class OpenaiFaults:
    """Names errors of one API; its key is never repeated."""

    def __init__(self, hidden: Hidden) -> None:
        self._hidden = hidden

    def of(self, error: openai.OpenAIError) -> NodeFault:
        """Return what an error means for a node."""
        cause = error.__cause__
        if isinstance(cause, NodeFault):
            return as_model_fault(cause)
        if isinstance(error, openai.APIStatusError):
            return self._status_fault(error)
        if isinstance(error, openai.APIConnectionError):
            return NodeFault("MODEL_UNAVAILABLE", "The model API cannot be reached.", is_retryable=True)
        text = self._told(getattr(error, "message", ""))
        return NodeFault("MODEL_UNAVAILABLE", f"The model API reports an error{text}", is_retryable=True)

    def _status_fault(self, error: openai.APIStatusError) -> NodeFault:
        status, text = error.status_code, self._told(error.message)
        wait_s = retry_after_s(error.response.headers.multi_items(), datetime.now(UTC))
        if status == _RATE_LIMITED:
            # An empty account answers 429 as well, and waiting does not fill it.
            is_retryable = error.code != "insufficient_quota"
            message = f"The model API refuses more requests for now{text}"
            return NodeFault("RATE_LIMITED", message, is_retryable=is_retryable, retry_after_s=wait_s)
        if status in _UNAVAILABLE or status >= _SERVER_ERRORS:
            message = f"The model API answered with status {status}{text}"
            return NodeFault("MODEL_UNAVAILABLE", message, is_retryable=True, retry_after_s=wait_s)
        return NodeFault("MODEL_REFUSED", f"The model API refused the request with status {status}{text}")

    def _told(self, message: str) -> str:
        """Return what the API says, without the key, which some repeat."""
        line = " ".join(self._hidden.text(message).split())[:_MAX_MESSAGE_CHARS]
        return f": {line}" if line else "."


def as_model_fault(fault: NodeFault) -> NodeFault:
    """Call a broken connection what it is for a node that asks a model."""
    if fault.code != "CONNECTION_FAILED":
        return fault
    return NodeFault("MODEL_UNAVAILABLE", f"The model API cannot be reached: {fault.message}", is_retryable=True)
