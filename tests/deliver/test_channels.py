"""Every channel over HTTP passes this, and test_mail.py asks the same of e-mail: it sends what its receiver takes, and says truly what became of it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from pydantic import SecretStr

from streams.deliver.channel import CHANNEL_KINDS, ChannelKind, Delivered, Refused, Retry
from streams.deliver.messages import notice as made
from streams.deliver.notice import Event
from tests.deliver.formats import CHECKS, ROUTING_KEY, SIGNING_KEY
from tests.deliver.made import EXPLAINED, T0, alert, channel, notice
from tests.deliver.servers import Receiver, receiving

PATH = "/services/T0SECRET0/B0SECRET0"
KINDS: Final = [kind for kind in CHANNEL_KINDS if kind != "email"]
REFUSALS: Final = (400, 401, 403, 404, 410, 413)
MAY_PASS: Final = (408, 425, 429, 500, 502, 503, 504)
PROCESS_S: Final = 20.0
"""A message through apprise starts a process."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every kind with every status; apprise, with its process for each, with one."""
    if "status" not in metafunc.fixturenames:
        metafunc.parametrize("kind", KINDS)
        return
    statuses = REFUSALS if "refusal" in metafunc.function.__name__ else MAY_PASS
    few = [status for status in statuses if status in {401, 503}]
    pairs = [(kind, status) for kind in KINDS for status in (few if kind == "apprise" else statuses)]
    metafunc.parametrize(("kind", "status"), pairs)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def address(receiver: Receiver, kind: ChannelKind) -> str:
    return receiver.url + ("" if kind == "alertmanager" else PATH)


@pytest.mark.parametrize("event", ["firing", "resolved"])
def test_it_sends_what_the_receiver_takes(receiver: Receiver, kind: ChannelKind, event: Event) -> None:
    receiver.status = 202
    assert channel(kind, address(receiver, kind)).send(notice(event)) == Delivered()
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    if kind != "alertmanager":
        assert request.path == PATH
    CHECKS[kind](request, event)


def test_the_limits_of_the_receiver_hold_for_any_text(receiver: Receiver, kind: ChannelKind) -> None:
    long = notice(
        title="<&>" * 2000, facts=(("What", "& ünïcode \N{PILE OF POO}" * 900), ("More", "x" * 9000)), labels={}
    )
    if kind == "alertmanager":
        long = notice(title=long.title, facts=long.facts)
    assert channel(kind, address(receiver, kind)).send(long) == Delivered()
    CHECKS[kind](receiver.requests[0], "firing")


def test_what_is_known_of_an_alert_arrives(receiver: Receiver, kind: ChannelKind) -> None:
    link = "https://grafana.example/d/x?a=b&c=%7C"
    assert channel(kind, address(receiver, kind)).send(made(alert(), "id", T0, EXPLAINED, link)) == Delivered()
    CHECKS[kind](receiver.requests[0], "firing")
    text = json.dumps(receiver.requests[0].json, ensure_ascii=False)
    assert "model large-4 through ci-agent" in text
    assert "▁▁▁▁" in text
    assert link in text.replace("&amp;", "&")


def test_a_refusal_says_why_and_no_secret(receiver: Receiver, kind: ChannelKind, status: int) -> None:
    receiver.status = status
    receiver.text = f"invalid_payload for {ROUTING_KEY} {SIGNING_KEY} at {PATH}\n{'x' * 5000}"
    outcome = channel(kind, address(receiver, kind)).send(notice())
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith(f"answered {status}: invalid_payload")
    assert len(outcome.reason) < 200
    if kind in {"signed", "pagerduty"}:
        assert {"signed": SIGNING_KEY, "pagerduty": ROUTING_KEY}[kind] not in outcome.reason
    if kind != "alertmanager":
        assert "SECRET0" not in outcome.reason


def test_what_may_pass_is_tried_again(receiver: Receiver, kind: ChannelKind, status: int) -> None:
    receiver.status, receiver.text = status, ""
    assert channel(kind, address(receiver, kind)).send(notice()) == Retry(f"answered {status}")


def test_retry_after_is_honoured(receiver: Receiver, kind: ChannelKind) -> None:
    receiver.status, receiver.text, receiver.headers = 429, "rate_limited", {"Retry-After": "37"}
    assert channel(kind, address(receiver, kind)).send(notice()) == Retry("answered 429: rate_limited", 37.0)


def test_redirects_are_not_followed(receiver: Receiver, kind: ChannelKind) -> None:
    receiver.status, receiver.headers = 307, {"Location": f"{receiver.url}/elsewhere"}
    outcome = channel(kind, address(receiver, kind)).send(notice())
    assert outcome == Refused("answered 307: redirects are not followed")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("how", [{"delay_s": 1.0}, {"drip": True}])
def test_a_slow_answer_is_given_up(receiver: Receiver, kind: ChannelKind, how: dict[str, Any]) -> None:
    for name, value in how.items():
        setattr(receiver, name, value)
    began = time.monotonic()
    assert channel(kind, address(receiver, kind), timeout_s=0.3).send(notice()) == Retry("no answer within 0.3 s")
    assert time.monotonic() - began < (PROCESS_S if kind == "apprise" else 0.9)


def test_nobody_listens(kind: ChannelKind) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert channel(kind, url).send(notice()) == Retry("the connection was refused")


def test_something_that_does_not_speak_http(kind: ChannelKind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = channel(kind, f"https://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.3)
        assert answering.send(notice()) == Retry("no answer within 0.3 s")


def test_private_addresses_need_the_policy(receiver: Receiver, kind: ChannelKind) -> None:
    url = f"https://127.0.0.1:{receiver.port}"
    outcome = channel(kind, url, allow_private=False).send(notice())
    assert isinstance(outcome, Refused)
    assert "not allowed" in outcome.reason
    assert receiver.requests == []


def test_no_text_of_it_shows_a_secret(kind: ChannelKind) -> None:
    opened = channel(kind, f"https://hooks.example{PATH}")
    for text in (repr(opened), repr(opened.policy), str(vars(opened).get("policy"))):
        assert "SECRET0" not in text
        assert ROUTING_KEY not in text
        assert SIGNING_KEY not in text


def test_a_message_is_the_same_when_it_is_tried_again(receiver: Receiver, kind: ChannelKind) -> None:
    opened = channel(kind, address(receiver, kind))
    for _ in range(2):
        assert opened.send(notice()) == Delivered()
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers.get("webhook-id") == second.headers.get("webhook-id")


def test_a_bearer_token(receiver: Receiver, kind: ChannelKind) -> None:
    if kind in {"signed", "pagerduty", "apprise"}:
        sent = channel(kind, address(receiver, kind))  # their secret is of another kind and does not travel in a header
    else:
        sent = channel(kind, address(receiver, kind), secret=SecretStr("t0ken"))
    assert sent.send(notice()) == Delivered()
    expected = None if kind in {"signed", "pagerduty", "apprise"} else "Bearer t0ken"
    assert receiver.requests[0].headers.get("authorization") == expected
