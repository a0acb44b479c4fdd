"""Encryption at rest: AES-256-GCM, bound to the workspace and the object that a value belongs to.

A sealed value is `version (1) | key id (8) | nonce (12) | ciphertext and tag`. See `docs/adr/0003-secrets-at-rest.md`.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.errors import SecretUnreadable, SetupFault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

_VERSION = b"\x01"
_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD_BYTES = len(_VERSION) + _ID_BYTES + _NONCE_BYTES


class Vault:
    """Seals with the first key and opens with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise SetupFault("There is no key for secrets at rest: set ANABRANCH_ENCRYPTION_KEYS.")
        raw = [_decoded(key) for key in keys]
        self._ciphers = {_key_id(key): AESGCM(_derived(key)) for key in raw}
        self._sealing = _key_id(raw[0])

    @property
    def head(self) -> bytes:
        """What every value begins with that is sealed from now on; values with another head are older."""
        return _VERSION + self._sealing

    def seal(self, value: str, *, workspace_id: UUID, object_id: UUID) -> bytes:
        """Return the value encrypted; it opens for this workspace and this object only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = _bound(self._sealing, workspace_id, object_id)
        encrypted = self._ciphers[self._sealing].encrypt(nonce, value.encode(), bound)
        return _VERSION + self._sealing + nonce + encrypted

    def open(self, sealed: bytes, *, workspace_id: UUID, object_id: UUID) -> str:
        """Return the value.

        Raises:
            SecretUnreadable: no key of this server sealed it for this workspace and object, or it was changed.
        """
        key_id = sealed[len(_VERSION) : len(_VERSION) + _ID_BYTES]
        cipher = self._ciphers.get(key_id)
        if sealed[:1] != _VERSION or cipher is None:
            raise SecretUnreadable
        nonce = sealed[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], _bound(key_id, workspace_id, object_id)).decode()
        except (InvalidTag, ValueError):
            raise SecretUnreadable from None


def _bound(key_id: bytes, workspace_id: UUID, object_id: UUID) -> bytes:
    """Every part has a fixed length, so that no two different bindings read alike."""
    return _VERSION + key_id + workspace_id.bytes + object_id.bytes


def _decoded(key: str) -> bytes:
    try:
        raw = urlsafe_b64decode(key.encode("ascii"))
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise SetupFault(
            "Each of ANABRANCH_ENCRYPTION_KEYS is 32 random bytes in URL-safe base64, as Fernet's keys are."
        )
    return raw


def _derived(key: bytes) -> bytes:
    """A key of its own for this use: the same setting may serve another one later."""
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"anabranch secrets v1").derive(key)


def _key_id(key: bytes) -> bytes:
    return sha256(b"anabranch encryption key id\0" + key).digest()[:_ID_BYTES]
