"""E-mail: what the conformance suite of the other channels asks for, against a real mail server; and what is in the message."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from streams.deliver.channel import Channel, Delivered, Refused, Retry
from streams.deliver.letter import letter
from streams.deliver.messages import notice as made
from streams.deliver.notice import Chart, Event
from streams.deliver.png import BAR, GAP, HEIGHT, png
from tests.deliver.made import EXPLAINED, ON_CALL, SENDER, T0, alert, channel, notice
from tests.deliver.mail_servers import MailServer, certificate, context, mail_server

PASSWORD = "pa55word-of-tokenworth"


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


@pytest.fixture(autouse=True)
def afresh(server: MailServer) -> None:
    server.rcpt, server.data, server.delay_s, server.received = {}, "250 OK", 0.0, []


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """The context of a server that calls itself localhost, whose certificate this process trusts."""
    path = certificate(tmp_path_factory.mktemp("tls"), "localhost")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield context(path)


def mail(at: MailServer | int, scheme: str = "smtp", host: str = "127.0.0.1", **options: Any) -> Channel:
    port = at if isinstance(at, int) else at.port
    return channel("email", f"{scheme}://{host}:{port}", **options)


@pytest.mark.parametrize("event", ["firing", "resolved"])
def test_what_arrives(server: MailServer, event: Event) -> None:
    assert mail(server, to=(ON_CALL, "lead@example.com")).send(notice(event)) == Delivered()
    assert server.received[0][0] == [ON_CALL, "lead@example.com"]
    found = server.message()
    assert (found["From"], found["To"]) == (SENDER, f"{ON_CALL}, lead@example.com")
    assert found["Subject"] == "search: spend runaway"
    assert found["Message-ID"] == "<00c0ffee00c0ffee.1.firing.0@example.com>"
    assert found["References"] == found["In-Reply-To"] == f"<00c0ffee00c0ffee.{T0}@example.com>"
    assert (found["Auto-Submitted"], found["Importance"]) == ("auto-generated", "high")
    plain, rich = found.get_body(("plain",)), found.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert plain.get_content().splitlines() == ["What: search spent <much> & more", "Next:", "look", "and see"]
    assert "search spent &lt;much&gt; &amp; more" in rich.get_content()
    assert "look<br>and see" in rich.get_content()


def test_the_chart_is_a_picture_in_the_message(server: MailServer) -> None:
    told = made(alert(), "id", T0, EXPLAINED, "https://grafana.example/d/x?a=b&c=d")
    assert mail(server).send(told) == Delivered()
    found = server.message()
    (picture,) = [part for part in found.walk() if part.get_content_type() == "image/png"]
    rich = found.get_body(("html",))
    assert rich is not None
    assert picture["Content-ID"] == "<chart>"
    assert 'src="cid:chart"' in rich.get_content()
    assert 'alt="▁▁▁▁' in rich.get_content()
    assert 'href="https://grafana.example/d/x?a=b&amp;c=d"' in rich.get_content()
    assert "https://grafana.example/d/x?a=b&c=d" in found.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_any_text_becomes_a_message(server: MailServer) -> None:
    long = notice(title="<b>\N{PILE OF POO}\r\nBcc: x@example.com" * 99, facts=(("What", "ü`& " * 9000),), labels={})
    assert mail(server).send(long) == Delivered()
    found = server.message()
    assert len(found["Subject"]) <= 200
    assert found["Bcc"] is None
    content = server.received[0][1]
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_a_message_is_the_same_when_it_is_tried_again(server: MailServer) -> None:
    told = made(alert(), "id", T0, EXPLAINED)
    for _ in range(2):
        assert mail(server).send(told) == Delivered()
    assert server.received[0] == server.received[1]


@pytest.mark.parametrize("where", ["rcpt", "data"])
@pytest.mark.parametrize(("code", "outcome"), [("550", Refused), ("554", Refused), ("421", Retry), ("451", Retry)])
def test_what_the_server_answers(server: MailServer, where: str, code: str, outcome: type[Refused | Retry]) -> None:
    answer = f"{code} no room for {ON_CALL} of {SENDER} {'x' * 300}"
    if where == "rcpt":
        server.rcpt = {ON_CALL: answer}
    else:
        server.data = answer
    found = mail(server).send(notice())
    assert isinstance(found, outcome)
    assert found.reason.startswith(f"answered {code}: no room for *** of ***")
    assert len(found.reason) < 200
    assert server.received == []


def test_one_mailbox_that_takes_it_is_enough(server: MailServer) -> None:
    server.rcpt = {"gone@example.com": "550 no such user"}
    assert mail(server, to=("gone@example.com", ON_CALL)).send(notice()) == Delivered()
    server.rcpt = {"gone@example.com": "550 no such user", ON_CALL: "450 greylisted"}
    assert mail(server, to=("gone@example.com", ON_CALL)).send(notice()) == Retry("answered 450: greylisted")


def test_a_slow_answer_is_given_up(server: MailServer) -> None:
    server.delay_s, began = 1.0, time.monotonic()
    assert mail(server, timeout_s=0.3).send(notice()) == Retry("no answer within 0.3 s")
    assert time.monotonic() - began < 0.9


def test_an_answer_that_never_ends_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            opened, _ = listening.accept()
            with opened, contextlib.suppress(OSError):
                for _ in range(50):
                    opened.send(b"220-x\r\n")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        outcome = mail(listening.getsockname()[1], timeout_s=0.3).send(notice())
    assert outcome == Retry("no answer within 0.3 s")
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_something_that_does_not_speak(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sent = mail(silent.getsockname()[1], scheme, timeout_s=0.3).send(notice())
    assert sent == Retry("no answer within 0.3 s")


def test_nobody_listens_or_hangs_up() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert mail(free.getsockname()[1]).send(notice()) == Retry("the connection was refused")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        outcome = mail(listening.getsockname()[1]).send(notice())
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("the connection broke")


def test_private_addresses_need_the_policy(server: MailServer) -> None:
    for scheme in ("smtp", "smtps"):
        outcome = mail(server, scheme, allow_private=False).send(notice())
        assert isinstance(outcome, Refused)
        assert "not allowed" in outcome.reason
    assert server.received == []


def test_without_tls_nothing_is_sent_to_others(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.deliver.posting.allowed", lambda *_, **__: True)  # as if loopback were the world
    outcome = mail(server, allow_private=False).send(notice())
    assert outcome == Refused("it offers no TLS (STARTTLS); allow_private = true sends without it in your own network")
    assert server.received == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # the server does not see that it speaks TLS from the first byte
@pytest.mark.parametrize("implicit", [False, True])
def test_tls_and_a_user(trusted: ssl.SSLContext, implicit: bool) -> None:
    scheme = "smtps" if implicit else "smtp"
    with mail_server(tls=trusted, implicit=implicit, login=("me", PASSWORD)) as server:
        secret = SecretStr(PASSWORD)
        assert mail(server, scheme, "localhost", user="me", secret=secret).send(notice()) == Delivered()
        assert server.secure
        outcome = mail(server, scheme, "localhost", user="me", secret=SecretStr("wrong-" + PASSWORD)).send(notice())
        assert isinstance(outcome, Refused)
        assert re.fullmatch(r"answered 535: .*", outcome.reason)
        assert PASSWORD not in outcome.reason
        other = mail(server, scheme, user="me", secret=secret).send(notice())  # by its address: another name
        assert isinstance(other, Retry)
        assert "certificate is not trusted" in other.reason


def test_no_text_of_it_shows_a_secret() -> None:
    opened = mail(25, user="me", secret=SecretStr(PASSWORD))
    assert PASSWORD not in f"{opened!r} {opened.policy!r}"


def test_the_picture_is_a_png_of_the_chart() -> None:
    found = png(Chart("x", (0, 50, 100), 2, 80))
    assert found[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(found):
        (length,) = struct.unpack(">I", found[at : at + 4])
        name, data = found[at + 4 : at + 8], found[at + 8 : at + 8 + length]
        assert struct.pack(">I", zlib.crc32(name + data)) == found[at + 8 + length : at + 12 + length]
        chunks[name], at = data, at + 12 + length
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width = 3 * (BAR + GAP)
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (width, HEIGHT, 8, 3, 0, 0, 0)
    pixels = zlib.decompress(chunks[b"IDAT"])
    rows = [pixels[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(HEIGHT)]
    heights = [sum(row[x] in {1, 2} for row in rows) for x in (0, BAR + GAP, 2 * (BAR + GAP))]
    assert heights == [1, HEIGHT // 2, HEIGHT]
    assert [rows[-1][x] for x in (0, BAR + GAP, 2 * (BAR + GAP))] == [1, 1, 2]
    assert sum(3 in row for row in rows) == 2
    assert len(png(Chart("x", tuple(range(24)), 20, 0))) < 1500


def test_a_letter_without_a_chart_has_no_picture() -> None:
    assert [part.get_content_type() for part in letter(notice(), SENDER, (ON_CALL,)).walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
