"""What an outside database may send: PostgreSQL's protocol as far as our few statements need it, and little of it.

The driver trusts whoever answers: it buffers a message of any announced length, decodes any type, and derives a key with
as many rounds as it is told. Here every message is looked at before the driver sees it.

Source: PostgreSQL's documentation, "Message Formats".
"""

from __future__ import annotations

import asyncio
import re
import struct
from typing import TYPE_CHECKING, Final, cast

from domain.errors import NodeFault
from persistence.row_writes import MAX_RETURNED

if TYPE_CHECKING:
    from collections.abc import Generator

_KIB: Final = 1_024
_MAX_BYTES: Final = 8 * _KIB * _KIB
_MAX_MESSAGES: Final = 5_000
_MAX_ASIDES: Final = 500
_MAX_SIGN_IN_STEPS: Final = 8
_MAX_ROUNDS_DIGITS: Final = (
    5  # 99,999 rounds take 50 to 90 ms, in which the event loop stands still; PostgreSQL's own are 4,096
)
_MAX_ERROR_FIELDS: Final = 64
_MAX_BODY: Final = {
    **dict.fromkeys(b"123nsI", 0),
    b"Z"[0]: 1,
    b"C"[0]: _KIB,
    b"K"[0]: _KIB,
    b"R"[0]: 4 * _KIB,
    b"S"[0]: 4 * _KIB,
    b"t"[0]: 4 * _KIB,
    b"A"[0]: 64 * _KIB,
    b"N"[0]: 64 * _KIB,
    b"T"[0]: 64 * _KIB,
    b"D"[0]: 4 * _KIB * _KIB,
    b"E"[0]: 4 * _KIB * _KIB,  # it may quote the value that was sent
}
_NO_ROWS: Final = b"D"[0]
_SIGN_IN: Final = b"R"[0]
_SIGN_IN_ROUNDS: Final = 11
_ROUNDS: Final = re.compile(rb",i=(\d+)")
_ASIDES: Final = frozenset(b"ASN")
_UNHEARD: Final = frozenset(b"AN")
_HEAD: Final = struct.Struct("!BI")
_LENGTH_BYTES: Final = 4
_COUNT: Final = struct.Struct("!H")
_COLUMN: Final = struct.Struct("!IHIHIH")
# bool, name, oid, text, varchar, timestamptz: for any other the driver would ask the server what it is, and decode it.
_TYPES: Final = frozenset({16, 19, 26, 25, 1043, 1184})


class _Refused(Exception):
    """What was sent is not what we take."""


class AnswerGuard(asyncio.Protocol):
    """Stands between a connection and the driver; hands on whole messages that are acceptable, and ends it at the first other."""

    def __init__(self, driver: asyncio.Protocol) -> None:
        """Take the driver's protocol."""
        self.refusal: NodeFault | None = None
        self._driver = driver
        self._transport: asyncio.Transport | None = None
        self._pending = bytearray()
        self._bytes = self._messages = self._asides = self._sign_in_steps = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._driver.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the driver."""
        self._pending.clear()
        self._driver.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the driver."""
        self._driver.pause_writing()

    def resume_writing(self) -> None:
        """Tell the driver."""
        self._driver.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Hand on the messages that are whole."""
        if self.refusal is not None:
            return
        self._bytes += len(data)
        self._pending += data
        try:
            for message in self._whole():
                self._driver.data_received(message)
        except _Refused as error:
            self._refuse(NodeFault("INVALID_RESPONSE", f"What answers is no PostgreSQL that can be used: {error}."))
        except NodeFault as fault:
            self._refuse(fault)
        except Exception as error:  # noqa: BLE001 -- whatever confuses the driver ends this connection and nothing else
            told = f"What answers is no PostgreSQL that can be used ({type(error).__name__})."
            self._refuse(NodeFault("INVALID_RESPONSE", told))

    def _refuse(self, fault: NodeFault) -> None:
        self.refusal = fault
        self._pending.clear()
        if self._transport is not None:
            self._transport.abort()

    def _whole(self) -> Generator[bytes]:
        """Yield what can be handed on; the announced length is judged before its bytes have come."""
        while len(self._pending) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._pending)
            self._measure(kind, length - _LENGTH_BYTES)
            if len(self._pending) <= length:
                return
            message = bytes(memoryview(self._pending)[: length + 1])
            del self._pending[: length + 1]
            self._count(kind)
            if kind not in _UNHEARD:
                yield _checked(kind, message)

    def _measure(self, kind: int, size: int) -> None:
        most = _MAX_BODY.get(kind)
        if most is None:
            raise _Refused(f"a message of the kind {bytes([kind])!r}")
        is_much = size > most or self._bytes > _MAX_BYTES
        if is_much and kind == _NO_ROWS and size >= 0:
            raise _too_many_rows()
        if is_much or size < 0:
            raise _Refused(
                f"{self._bytes if 0 <= size <= most else size:,} bytes in or after a message of {bytes([kind])!r}"
            )

    def _count(self, kind: int) -> None:
        self._messages += 1
        self._asides += kind in _ASIDES
        self._sign_in_steps += kind == _SIGN_IN
        if self._messages > _MAX_MESSAGES and kind == _NO_ROWS:
            raise _too_many_rows()
        if self._messages > _MAX_MESSAGES or self._asides > _MAX_ASIDES or self._sign_in_steps > _MAX_SIGN_IN_STEPS:
            raise _Refused("too many messages")


def _too_many_rows() -> NodeFault:
    return NodeFault(
        "TOO_MANY_ROWS", f"The write would return more than {MAX_RETURNED:,} rows or 4 MiB; leave `returning` empty."
    )


def _checked(kind: int, message: bytes) -> bytes:
    """Return a message as the driver may see it."""
    body = message[_HEAD.size :]
    if kind == _SIGN_IN:
        _check_rounds(body)
    elif kind == b"T"[0]:
        _check_types(_types_of_columns(body))
    elif kind == b"t"[0]:
        _check_types(struct.unpack_from(f"!{_COUNT.unpack_from(body)[0]}I", body, _COUNT.size))
    elif kind == b"E"[0]:
        if body.count(0) > _MAX_ERROR_FIELDS:
            raise _Refused("an error of too many fields")
        # Before a session has an encoding, a server speaks in its own.
        readable = body.decode(errors="replace").encode()
        return _HEAD.pack(kind, len(readable) + _LENGTH_BYTES) + readable
    return message


def _check_rounds(body: bytes) -> None:
    if int.from_bytes(body[:4]) != _SIGN_IN_ROUNDS:
        return
    rounds = _ROUNDS.search(body)
    if rounds is None or not 1 <= len(rounds[1]) <= _MAX_ROUNDS_DIGITS or int(rounds[1]) < 1:
        raise _Refused("a sign-in of no or of 100,000 and more rounds")


def _types_of_columns(body: bytes) -> Generator[int]:
    at = _COUNT.size
    for _ in range(_COUNT.unpack_from(body)[0]):
        at = body.index(0, at) + 1
        yield _COLUMN.unpack_from(body, at)[2]
        at += _COLUMN.size


def _check_types(types: Generator[int] | tuple[int, ...]) -> None:
    for oid in types:
        if oid not in _TYPES:
            raise _Refused(f"a value of the type {oid}, which was not asked for")
