"""The guard of everything outbound: which addresses may be connected to, decided after resolving, for every connection."""

from __future__ import annotations

import asyncio
import re
import socket
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, TypeAlias

from yarl import URL

from domain.errors import NodeFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = "Callable[[str, int], Awaitable[Sequence[str]]]"
"""Returns the addresses of a name, as text; raises OSError where there is none."""

_MAX_URL_CHARS = 8_192
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,253})?")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_RESOLVE_TIMEOUT_S = 10.0

# What is_global of Python's ipaddress leaves open or tells differently from release to release.
_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/3")
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")  # Teredo and 6to4 lead to IPv4 inside
)
_NAT64 = IPv6Network("64:ff9b::/96")


def parse_url(text: str) -> URL:
    """Return an http or https URL with a host and no user.

    Raises:
        NodeFault: `INVALID_URL`.
    """
    if len(text) > _MAX_URL_CHARS:
        raise NodeFault("INVALID_URL", f"The URL is longer than {_MAX_URL_CHARS} characters.")
    if any(letter <= " " or letter in {"\\", "\x7f"} for letter in text):
        raise NodeFault("INVALID_URL", "The URL has spaces, control characters or backslashes in it.")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in _DEFAULT_PORTS:
        raise NodeFault("INVALID_URL", "The URL does not begin with http:// or https://.")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise NodeFault("INVALID_URL", "The URL has a user in it; use a connection for credentials.")
    if "%" in authority:
        raise NodeFault("INVALID_URL", "The URL's host has escaped characters or a zone in it.")
    try:
        url = URL(f"{scheme.lower()}://{_plain_host(authority)}{rest[len(authority) :]}")
        port = url.port
    except (ValueError, UnicodeError):
        raise NodeFault("INVALID_URL", "The URL cannot be read.") from None
    host = url.raw_host or ""
    if not port or not _is_host(host):
        raise NodeFault("INVALID_URL", "The URL has no host that can be asked for.")
    return url


def origin_of(url: URL) -> str:
    """Return scheme, host and, unless it is the scheme's own, port."""
    host = url.raw_host or ""
    shown = f"[{host}]" if ":" in host else host
    port = "" if url.port == _DEFAULT_PORTS.get(url.scheme) else f":{url.port}"
    return f"{url.scheme}://{shown}{port}"


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in a thread."""
    async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class OutboundGuard:
    """Decides what may be connected to.

    `allowed` are exact `host:port` pairs that may be reached although they are private, `refused` those that never may,
    such as the server's own database.
    """

    def __init__(
        self, allowed: Iterable[str] = (), refused: Iterable[str] = (), resolve: Resolve = system_resolve
    ) -> None:
        self._allowed = frozenset(_pair(entry) for entry in allowed)
        self._refused = frozenset(_pair(entry) for entry in refused)
        self._resolve = resolve

    async def check_url(self, text: str) -> None:
        """Resolve a URL's host and check every address.

        Raises:
            NodeFault: `INVALID_URL`, `ADDRESS_REFUSED`, or `CONNECTION_FAILED` where the name does not resolve.
        """
        url = parse_url(text)
        await self.addresses(url.raw_host or "", url.port or 0)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be connected to: all of them, or none.

        Raises:
            NodeFault: `ADDRESS_REFUSED`, or `CONNECTION_FAILED` where the name does not resolve.
        """
        literal = _literal(host)
        pair = (str(literal) if literal else host.rstrip(".").lower(), port)
        found = [literal] if literal else await self._look_up(host, port)
        is_allowed = pair in self._allowed
        for address in found:
            if (str(address), port) in self._refused or pair in self._refused:
                raise _refusal(host, port)
            if not is_allowed and not is_public(address):
                raise _refusal(host, port)
        return [str(address) for address in found]

    async def _look_up(self, host: str, port: int) -> list[Address]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):  # TimeoutError is one
            found = ()
        if not found:
            raise NodeFault("CONNECTION_FAILED", f"The name {host!r} does not resolve.", is_retryable=True)
        try:
            return [ip_address(address) for address in dict.fromkeys(found)]
        except ValueError:
            raise _refusal(host, port) from None


def is_public(address: Address) -> bool:
    """Tell whether an address lies in the public internet; forms that carry another address count as that one."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_V6 and address.is_global and not any(address in network for network in _REFUSED_V6)


def _is_host(host: str) -> bool:
    """Tell whether this is a name or an address; what ends in a number is one only as an address.

    Source: URL standard, "ends in a number checker".
    """
    last = host.rstrip(".").rpartition(".")[2]
    if ":" in host or _NUMERIC.fullmatch(last):
        try:
            return _literal(host) is not None
        except NodeFault:
            return False
    return _HOST.fullmatch(host) is not None


def _plain_host(authority: str) -> str:
    """Fold what a resolver would fold: full-width letters, circled digits, other dots."""
    return unicodedata.normalize("NFKC", authority.translate(_DOTS)).translate(_DOTS).lower()


def _literal(host: str) -> Address | None:
    """Return the address that a host is written as, in any of the forms that the system's resolver takes."""
    text = host.rstrip(".").strip("[]").lower()
    try:
        return ip_address(text)
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(text):
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        raise NodeFault("INVALID_URL", f"{host!r} is no address and no name.") from None


def _pair(entry: str) -> tuple[str, int]:
    """Return host and port of an entry such as `localhost:11434` or `[::1]:80`.

    Raises:
        ValueError: no port, or none that can be.
    """
    host, separator, port = entry.strip().rpartition(":")
    if not separator or not port.isdecimal() or not host:
        raise ValueError(f"{entry!r} is not of the form host:port")
    literal = _literal(host)
    return (str(literal) if literal else host.rstrip(".").lower()), int(port)


def _refusal(host: str, port: int) -> NodeFault:
    return NodeFault(
        "ADDRESS_REFUSED",
        f"{host}:{port} is not a public address; an operator can allow it by ANABRANCH_OUTBOUND__ALLOWED.",
    )
