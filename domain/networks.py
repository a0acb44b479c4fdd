"""Network addresses as limits count them."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address


def network_of(address: str) -> str:
    """Return what stands for the home that an address belongs to: itself, or the /64 of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, 64), strict=False))
