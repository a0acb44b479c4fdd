"""Webhooks: URLs that start a workflow's published version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import RunId, WebhookId, WorkflowId, WorkspaceId
    from domain.workflow import Published

TOKEN_START: Final = "wh_"  # noqa: S105 -- the beginning of every token, no token
SHOWN: Final = len(TOKEN_START) + 6
"""How many characters of a token are kept in the clear, to recognise a URL by."""
MAX_NAME: Final = 100
KEPT: Final = timedelta(days=3)
"""How long a delivery is remembered: for as long as well-known senders repeat one that was not answered."""
_DELIVERY_ID: Final = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook without its token and key."""

    id: WebhookId
    workspace_id: WorkspaceId
    workflow_id: WorkflowId
    name: str
    prefix: str
    is_signed: bool
    last_called_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CalledWebhook:
    """What a token stands for at this moment."""

    webhook: Webhook
    token_hash: bytes
    ciphertext: bytes | None
    """The sealed signing key; None where calls are not signed."""
    published: Published | None
    """What it starts; None before the workflow's first publication."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A call that is to start a run; stored in one transaction with the run."""

    webhook_id: WebhookId
    token_hash: bytes
    """The token must still be the webhook's when the run is stored."""
    key: str | None
    """What repeated attempts have in common; None = each call is one of its own."""
    body_hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of an earlier call with the same key; the run may be gone since."""

    run_id: RunId
    body_hash: bytes


def check_delivery_id(given: str) -> str:
    """Return the id that an unsigned call gives itself.

    Raises:
        InvalidInput: it is not 1 to 255 visible ASCII characters.
    """
    if not _DELIVERY_ID.fullmatch(given):
        raise InvalidInput("webhook-id, or Idempotency-Key, is 1 to 255 visible ASCII characters.")
    return given
