"""Notices and policies for tests."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pydantic import SecretStr

from streams.deliver.channel import Channel, ChannelKind, ChannelPolicy
from streams.deliver.configuration import open_channel
from streams.deliver.notice import Chart, Event, Notice
from streams.deliver.reasons import Explained, Reason
from streams.detect.alert import Alert, State
from tests.deliver.formats import ROUTING_KEY, SIGNING_KEY

T0 = 1_769_868_300_000_000
"""2026-01-31 14:05 UTC"""
SENDER, ON_CALL = "tokenworth@example.com", "on-call@example.com"
_HOURS = (9, 11, 12, 12, 14, 38, 64, 71, 66, 80, 77, 58, 69, 74, 92, 60, 41, 22, 15, 12, 18, 31, 640, 1490)
CHART = Chart("AI spend, last 24 hours", tuple(usd * 1_000_000 for usd in _HOURS), 22, 600_000_000)
EXPLAINED = Explained(
    (
        Reason(
            1_190_000_000, "83 % of the rise: model large-4 through ci-agent (+$1,190), 12 times its usual requests"
        ),
        Reason(905_000_000, "61 % of the spend without a work item: $909, usually $4.00"),
    ),
    "model large-4 through ci-agent",
    CHART,
)
"""What was found out about the alert below."""


def notice(event: Event = "firing", **changed: Any) -> Notice:
    values: dict[str, Any] = {
        "event": event,
        "fingerprint": "00c0ffee00c0ffee",
        "id": "00c0ffee00c0ffee.1.firing.0",
        "labels": {"alertname": "spend_runaway", "kind": "page", "team": "search", "tenant": "acme", "window": "1h"},
        "title": "search: spend runaway",
        "facts": (("What", "search spent <much> & more"), ("Next", "look\nand see")),
        "starts_at": T0,
        "ends_at": T0 + 3_600_000_000 if event == "resolved" else 0,
        "told_at": T0 + 3_700_000_000,
    }
    return Notice(**{**values, **changed})


def channel(kind: ChannelKind, url: str, **options: Any) -> Channel:
    """One that may send to loopback. For apprise the address becomes that of its JSON service."""
    url = url.replace("http", "json", 1) if kind == "apprise" else url
    if kind == "email":
        options = {"sender": SENDER, "to": (ON_CALL,), **options}
    secret = {"signed": f"whsec_{SIGNING_KEY}", "pagerduty": ROUTING_KEY}.get(kind, "")
    settings: dict[str, Any] = {"secret": SecretStr(secret), "allow_private": True, "timeout_s": 5.0, **options}
    return open_channel(ChannelPolicy("test", kind, url=SecretStr(url), **settings))


def alert(state: State = "firing", **changed: Any) -> Alert:
    """A page that began at T0 - 20 min, fired 10 min later, and ended at T0 if it is resolved."""
    values: dict[str, Any] = {entry.name: 0 for entry in fields(Alert)} | {
        "rule": "spend_runaway",
        "tenant": "acme",
        "team": "search",
        "kind": "page",
        "size": "1h",
        "state": state,
        "started_at": T0 - 1_200_000_000,
        "fired_at": T0 - 600_000_000,
        "window_end": T0 if state == "resolved" else T0 - 600_000_000,
        "resolved_at": T0 if state == "resolved" else 0,
        "clear_since": T0 - 300_000_000 if state == "resolved" else 0,
        "unit": "micro_usd",
        "value": 1_490_000_000,
        "baseline": 120_000_000,
        "threshold": 600_000_000,
        "spend_micro_usd": 1_490_000_000,
        "usual_spend_micro_usd": 20_000_000,
        "deliver": True,
        "summary": "search spent $1,490 on AI in an hour, where a busy one costs $120, 312 prompts repeated; so since 2026-01-31 13:45 UTC: see x",
    }
    return Alert(**{**values, **changed})
