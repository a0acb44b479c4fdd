"""Signatures of calls: HMAC-SHA256 over id, timestamp and body, so that a call is neither changed nor sent by others.

Source: Standard Webhooks 1.0 (standardwebhooks.com), symmetric signatures, `v1`.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from domain.errors import SignatureRefused

if TYPE_CHECKING:
    from datetime import datetime

KEY_START: Final = "whsec_"
KEY_BYTES: Final = 32
TOLERANCE: Final = timedelta(minutes=5)
"""How far the timestamp of a call may be from this server's clock, either way."""
_VERSION: Final = "v1,"
_MOST: Final = 20
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
# Without a dot: else the same bytes could be read as another id with another timestamp and body.
_ID: Final = re.compile(r"[!-\-/-~]{1,255}")


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """What a caller says beside the body; None = the header is missing."""

    id: str | None = None
    """`webhook-id`: equal in all attempts to deliver the same."""
    timestamp: str | None = None
    """`webhook-timestamp`: seconds since 1970 of this attempt."""
    signature: str | None = None
    """`webhook-signature`: one or more, with spaces between."""


def key_text(raw: bytes) -> str:
    """Return a signing key as libraries take it."""
    return KEY_START + b64encode(raw).decode()


def sign(key: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a call, such as `v1,K5oZ…=`; `key` is one that `key_text` made."""
    raw = b64decode(key.removeprefix(KEY_START))
    content = f"{delivery_id}.{timestamp}.".encode() + body
    return _VERSION + b64encode(hmac.digest(raw, content, sha256)).decode()


def verify(key: str, headers: SignedHeaders, body: bytes, now: datetime) -> str:
    """Return the id of a call that was signed with the key within five minutes of `now`.

    Whether the timestamp is acceptable is said to those alone whose signature is right.

    Raises:
        SignatureRefused: a header is missing or malformed, the signature is not one of the key, or it is too old.
    """
    given, timestamp, signatures = headers.id, headers.timestamp, headers.signature
    if given is None or timestamp is None or signatures is None:
        raise SignatureRefused(
            "SIGNATURE_MISSING",
            "Calls of this webhook are signed: send webhook-id, webhook-timestamp and webhook-signature.",
        )
    if not _ID.fullmatch(given) or not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureRefused(
            "SIGNATURE_INVALID",
            "webhook-id is 1 to 255 visible ASCII characters without a dot, webhook-timestamp seconds since 1970.",
        )
    expected = sign(key, given, timestamp, body).encode()
    # Each is compared in constant time; while keys are changed there may be several.
    matches = [hmac.compare_digest(one.encode(), expected) for one in signatures.split(" ")[:_MOST]]
    if not any(matches):
        raise SignatureRefused(
            "SIGNATURE_INVALID", "No signature in webhook-signature is that of this id, timestamp and body."
        )
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise SignatureRefused(
            "TIMESTAMP_OUTSIDE_WINDOW",
            "webhook-timestamp is more than five minutes from this server's clock; sign each attempt anew.",
        )
    return given
