"""Something that answers where PostgreSQL is expected, over TCP or TLS, and means harm; and certificates for it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def message(kind: bytes, body: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a message of PostgreSQL's protocol, with another length than it has if given."""
    return kind + struct.pack("!i", len(body) + 4 if length is None else length) + body


SIGNED_IN = message(b"R", bytes(4)) + message(b"S", b"server_version\0" + b"18.1\0") + message(b"Z", b"I")


def prepared(type_oid: int = 25) -> bytes:
    """Return the answer to the preparation of a statement with one column and no parameter."""
    column = b"c\0" + struct.pack("!IHIHIH", 0, 0, type_oid, 8, 0, 0)
    return message(b"1") + message(b"t", bytes(2)) + message(b"T", struct.pack("!H", 1) + column)


async def start_up(reader: asyncio.StreamReader) -> None:
    """Read the client's first message."""
    await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)


@asynccontextmanager
async def answering(talk: Talk, certificate: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """Answer on a free port of 127.0.0.1 until the block ends: to the request for TLS, then as `talk` does; give the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await reader.readexactly(8)
            writer.write(b"S" if certificate else b"N")
            if certificate:
                await writer.start_tls(certificate)
            await talk(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Authority:
    """One who certifies names."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def path(self) -> Path:
        """Where its own certificate lies."""
        return self.folder / "authority.pem"

    def server(self, name: str) -> ssl.SSLContext:
        """Return what a server of this name shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(name, key, self.certificate.subject, self.key, is_authority=False)
        path = self.folder / f"{name}.pem"
        path.write_bytes(_pem(made) + _private(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def authority(folder: Path) -> Authority:
    """Return a new one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    made = Authority(folder, key, _certificate("test authority", key, name, key, is_authority=True))
    made.path.write_bytes(_pem(made.certificate))
    return made


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, by: ec.EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    try:
        shown: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        shown = x509.DNSName(name.replace(" ", "-"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([shown]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    return builder.sign(by, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
