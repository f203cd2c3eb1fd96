"""What apprise is not left to do by itself: where it connects to, over what, with which environment, and for how long."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from streams.deliver.apprise import Apprise
from streams.deliver.channel import ChannelPolicy, Delivered, Refused, Retry
from streams.errors import ConfigError
from tests.deliver.made import channel, notice
from tests.deliver.mail_servers import mail_server
from tests.deliver.servers import receiving


def apprise(url: str, **options: Any) -> Apprise:
    return Apprise(ChannelPolicy("test", "apprise", url=SecretStr(url), **options))


@pytest.mark.parametrize(
    ("url", "private", "says"),
    [
        ("nonsense://secret-token", True, "does not understand"),
        ("json://hooks.example/secret-token", False, "without TLS"),
        ("jsons://hooks.example/secret-token?verify=no", False, "without a check of the certificate"),
    ],
)
def test_an_address_that_cannot_work_is_found_at_the_start(url: str, private: bool, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        apprise(url, allow_private=private).check()
    assert "secret-token" not in f"{raised.value} {raised.value.remedy}"


def test_an_address_that_can_work() -> None:
    apprise("tgram://123456789:abcdefghijklmnop/123").check()


def test_one_that_cannot_is_refused() -> None:
    assert apprise("nonsense://x").send(notice()) == Refused("apprise does not understand its address")


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError) as raised:
        apprise("json://hooks.example").check()
    assert "tokenworth[apprise]" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("jsons://localhost:{port}/", False),
        ("json://[::ffff:169.254.169.254]/latest", True),
        ("rsyslog://169.254.169.254", True),
    ],
)
def test_every_address_is_looked_at_when_it_is_connected_to(url: str, private: bool) -> None:
    with receiving() as receiver:
        outcome = apprise(url.format(port=receiver.port), allow_private=private, timeout_s=5).send(notice())
        assert receiver.requests == []
    assert isinstance(outcome, Refused)
    assert "not allowed" in outcome.reason


def test_it_goes_past_proxies_and_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, receiving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert channel("apprise", f"{receiver.url}/x").send(notice()) == Delivered()
        assert proxy.requests == []


def test_messages_fit_the_service() -> None:
    long = replace(notice(), facts=(("What", "x" * 100_000),))
    with receiving() as receiver:
        assert channel("apprise", receiver.url).send(long) == Delivered()
        assert len(receiver.requests) == 1
        assert len(receiver.requests[0].json["message"]) <= 32_768


def test_an_answer_that_the_service_takes_for_a_no() -> None:
    """Mattermost means 200 when it says yes."""
    with receiving() as receiver:
        receiver.status, receiver.text = 299, '{"ok": false}'
        url = f"mmost://127.0.0.1:{receiver.port}/{'s3cret' * 4}"
        outcome = apprise(url, allow_private=True).send(notice())
    assert isinstance(outcome, Refused)
    assert outcome.reason == 'answered 299: {"ok": false}'


def test_e_mail_through_it() -> None:
    with mail_server() as server:
        url = f"mailto://127.0.0.1:{server.port}?from=a@example.com&to=b@example.com"
        assert apprise(url, allow_private=True).send(notice()) == Delivered()
        assert server.message()["Subject"] == "search: spend runaway"


def test_a_service_that_does_not_say_why_is_tried_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"mailto://127.0.0.1:{free.getsockname()[1]}?from=a@example.com&to=b@example.com"
        outcome = apprise(url, allow_private=True).send(notice())
    assert outcome == Retry("apprise could not send it, and does not say why")
