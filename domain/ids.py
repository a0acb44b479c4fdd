"""Identifiers: UUIDv7 inside, TypeIDs such as `run_01jd4v…` outside."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType
from uuid import UUID

from domain.errors import InvalidId

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
WorkspaceId = NewType("WorkspaceId", UUID)
MemberId = NewType("MemberId", UUID)
InvitationId = NewType("InvitationId", UUID)
WorkflowId = NewType("WorkflowId", UUID)
VersionId = NewType("VersionId", UUID)
GraphId = NewType("GraphId", UUID)
RunId = NewType("RunId", UUID)
ExecutorId = NewType("ExecutorId", UUID)
SecretId = NewType("SecretId", UUID)
ConnectionId = NewType("ConnectionId", UUID)
CollectionId = NewType("CollectionId", UUID)
DocumentId = NewType("DocumentId", UUID)
ChunkId = NewType("ChunkId", UUID)
DataTableId = NewType("DataTableId", UUID)
DataRowId = NewType("DataRowId", UUID)
ApprovalId = NewType("ApprovalId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
AuditEntryId = NewType("AuditEntryId", UUID)
WebhookId = NewType("WebhookId", UUID)
NodeKey = NewType("NodeKey", str)


class Prefix(StrEnum):
    """The readable beginning of a global id: it tells the type."""

    USER = "user"
    WORKSPACE = "ws"
    WORKFLOW = "wf"
    VERSION = "version"
    RUN = "run"
    NODE_RUN = "noderun"
    SECRET = "secret"  # noqa: S105 -- a prefix of ids, no password
    CONNECTION = "conn"
    COLLECTION = "col"
    DOCUMENT = "doc"
    CHUNK = "chunk"
    DATA_TABLE = "table"
    DATA_ROW = "row"
    APPROVAL = "approval"
    API_KEY = "key"
    AUDIT_ENTRY = "audit"
    MEMBER = "member"
    INVITATION = "invitation"
    WEBHOOK = "webhook"


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH = 26


def encode_uuid(value: UUID) -> str:
    """Return 26 characters of Crockford's base 32 that sort as the UUID does.

    Source: TypeID specification 0.3.
    """
    number = value.int
    letters = [""] * _LENGTH
    for place in range(_LENGTH - 1, -1, -1):
        letters[place] = _ALPHABET[number & 31]
        number >>= 5
    return "".join(letters)


def decode_uuid(text: str) -> UUID:
    """Return the UUID of 26 base 32 characters.

    Raises:
        InvalidId: not 26 characters of the alphabet, or more than 128 bits.
    """
    if len(text) != _LENGTH or text[0] > "7":
        raise InvalidId(given=text)
    number = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            raise InvalidId(given=text)
        number = number << 5 | value
    return UUID(int=number)


def to_global(prefix: Prefix, value: UUID) -> str:
    """Return the id that clients see, such as `run_01jd4v…`."""
    return f"{prefix.value}_{encode_uuid(value)}"


def split_global(text: str) -> tuple[Prefix, str]:
    """Return the prefix of a global id and what stands behind it.

    Raises:
        InvalidId: no known prefix.
    """
    prefix, _, rest = text.partition("_")
    try:
        return Prefix(prefix), rest
    except ValueError:
        raise InvalidId(given=text) from None


def from_global(prefix: Prefix, text: str) -> UUID:
    """Return the UUID of a global id of the given type.

    Raises:
        InvalidId: another type's id, or no id at all.
    """
    found, rest = split_global(text)
    if found is not prefix:
        raise InvalidId(given=text)
    return decode_uuid(rest)
