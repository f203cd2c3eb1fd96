"""Which addresses a notice may go to, and why one was not reached. Imports little: it is loaded anew for each message to apprise."""

from __future__ import annotations

import ipaddress
import ssl
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA: Final = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))
"""Where clouds hand out credentials to whoever asks: never, not even where private addresses are allowed."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def allowed(address: Address, *, allow_private: bool) -> bool:
    """Whether a notice may go there: public addresses; with `allow_private` also loopback and private ones."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return allowed(address.ipv4_mapped, allow_private=allow_private)
        if address in _NAT64:
            return allowed(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF), allow_private=allow_private)
        if address.sixtofour is not None or address.teredo is not None:
            return False  # tunnels that hide another address
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return address.is_global or (allow_private and (address.is_loopback or address.is_private))


def not_allowed(*, allow_private: bool) -> str:
    """What is said of a host that has another address."""
    remedy = "" if allow_private else "; allow_private = true allows those of your own network"
    return f"its host has an address that is not allowed{remedy}"


def said(error: Exception) -> str:
    """Why a connection failed, without an address."""
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return f"the connection broke ({type(error).__name__})"
