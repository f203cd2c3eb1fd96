"""Connections to where a channel may send, and one HTTP POST.

The host is resolved first, every address that it has must be allowed, and the connection goes to the address that was looked at, so that
a name cannot point elsewhere in between. No redirects, no proxies, no cookies; an attempt ends within its time whatever the other side does.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from streams.deliver.reach import Address, allowed, not_allowed, said

_ANSWER_BYTES: Final = 4096
"""As much of an answer is read; no vendor says more than a line."""


class Forbidden(Exception):
    """The host has an address that the policy does not allow."""


class Unreachable(Exception):
    """No answer came. The text names no address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. `retry_after_s`: 0 when it did not say."""

    status: int
    retry_after_s: float
    text: str


def post(url: SecretStr, body: bytes, headers: Mapping[str, str], *, allow_private: bool, timeout_s: float) -> Answer:
    """Send `body`; blocks until the answer or `timeout_s`, not counting the resolver. Raises Forbidden or Unreachable."""
    parts = urlsplit(url.get_secret_value())
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = resolve(host, port, allow_private=allow_private)
    deadline = time.monotonic() + timeout_s
    try:
        with connected(addresses, port, host if tls else "", deadline) as opened, cut_at(deadline, opened):
            answer = _asked(opened, host, port, path, body, headers)
        if time.monotonic() >= deadline:
            raise TimeoutError  # what was cut off reads like a whole answer
    except (OSError, HTTPException, ValueError) as error:
        late = time.monotonic() >= deadline
        raise Unreachable(f"no answer within {timeout_s:g} s" if late else said(error)) from None
    return answer


def resolve(host: str, port: int, *, allow_private: bool) -> list[Address]:
    """The addresses of a host. Raises Unreachable when it has none, Forbidden when one of them is not allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("its host has no address") from None
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
    for address in addresses:
        if not allowed(address, allow_private=allow_private):
            raise Forbidden(not_allowed(allow_private=allow_private))
    return addresses


def connected(addresses: list[Address], port: int, tls_name: str, deadline: float) -> socket.socket:
    """A connection to the first address that takes one; with TLS if a name to check is given."""
    error: OSError = OSError("no address")
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            plain = socket.create_connection((str(address), port), timeout=left)
        except OSError as refused:
            error = refused
            continue
        if not tls_name:
            return plain
        return secured(plain, tls_name, deadline)
    raise error


def secured(plain: socket.socket, name: str, deadline: float) -> ssl.SSLSocket:
    """The connection with TLS, whose certificate is checked for `name`. Takes `plain` over."""
    secure = ssl.create_default_context().wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
    try:
        with cut_at(deadline, secure):
            secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure


@contextmanager
def cut_at(deadline: float, opened: socket.socket) -> Iterator[None]:
    """End the connection at the deadline, however slowly the other side goes on talking: who waits for it hears an end of file."""
    until = threading.Timer(max(deadline - time.monotonic(), 0), _cut, (opened,))
    until.daemon = True
    until.start()
    try:
        yield
    finally:
        until.cancel()


def _asked(opened: socket.socket, host: str, port: int, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = HTTPConnection(host, port)
    connection.default_port = 443 if isinstance(opened, ssl.SSLSocket) else 80  # decides whether Host names the port
    connection.sock = opened
    connection.request("POST", path, body, {"User-Agent": "tokenworth", "Connection": "close", **headers})
    answer = connection.getresponse()
    text = answer.read(_ANSWER_BYTES).decode(errors="replace")
    return Answer(answer.status, retry_after_s(answer.getheader("Retry-After", ""), time.time()), text)


def retry_after_s(header: str, now_s: float) -> float:
    """Seconds of a Retry-After header: a number or an HTTP date; 0 for what is neither."""
    try:
        return (
            max(float(header), 0.0)
            if header.strip().isdecimal()
            else max(parsedate_to_datetime(header).timestamp() - now_s, 0.0)
        )
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _cut(opened: socket.socket) -> None:
    """Wake the thread that waits for the other side. The base class's way: TLS would wait for a farewell."""
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
