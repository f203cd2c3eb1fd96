"""Where a notice may go, and where not; what a header asks for."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from pydantic import SecretStr

from streams.deliver.posting import Forbidden, Unreachable, post, resolve, retry_after_s
from streams.deliver.reach import allowed
from tests.deliver.servers import receiving


@pytest.mark.parametrize(
    ("text", "public", "private"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1:248:1893:25c8:1946", True, True),
        ("127.0.0.1", False, True),
        ("127.8.9.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("172.16.0.1", False, True),
        ("192.168.1.1", False, True),
        ("fd12::1", False, True),
        ("::ffff:10.1.2.3", False, True),
        ("::ffff:93.184.216.34", True, True),
        ("64:ff9b::a01:203", False, True),
        ("100.64.0.1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("169.254.1.1", False, False),
        ("fe80::1", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("100.100.100.200", False, False),
        ("fd00:ec2::254", False, False),
        ("2002:7f00:1::", False, False),
    ],
)
def test_what_addresses_are_allowed(text: str, public: bool, private: bool) -> None:
    address = ipaddress.ip_address(text)
    assert allowed(address, allow_private=False) == public
    assert allowed(address, allow_private=True) == private


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost"])
def test_other_spellings_of_loopback_are_seen_through(host: str) -> None:
    with pytest.raises((Forbidden, Unreachable)):
        resolve(host, 443, allow_private=False)


def test_one_address_that_is_not_allowed_forbids_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 443)) for text in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    with pytest.raises(Forbidden):
        resolve("two.example", 443, allow_private=False)


def test_the_address_that_was_looked_at_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = socket.getaddrinfo

    def answers(host: str, *more: Any, **options: Any) -> Any:
        if host != "once.example":  # the connection, by address
            assert ipaddress.ip_address(host)
            return real(host, *more, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    with receiving() as receiver:
        url = SecretStr(f"http://once.example:{receiver.port}/a?b=c")
        assert post(url, b"{}", {}, allow_private=True, timeout_s=5).status == 200
        (request,) = receiver.requests
    assert asked == ["once.example"]
    assert request.path == "/a?b=c"
    assert request.headers["host"] == f"once.example:{receiver.port}"


def test_a_host_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known: secret.example")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(Unreachable, match=r"^its host has no address$"):
        post(SecretStr("https://secret.example/x"), b"", {}, allow_private=False, timeout_s=1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("12", 12),
        (" 12 ", 12),
        ("-3", 0),
        ("soon", 0),
        ("1e9", 0),
        ("Sat, 31 Jan 2026 14:06:00 GMT", 60),
        ("Sat, 31 Jan 2026 14:00:00 GMT", 0),
        ("Sat, 99 Jan 2026", 0),
    ],
)
def test_retry_after(header: str, seconds: float) -> None:
    assert retry_after_s(header, 1_769_868_300) == seconds
