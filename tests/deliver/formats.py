"""What each receiver takes, written from the vendors' formats: types, required fields, limits. Naive on purpose; raises AssertionError."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.deliver.servers import Request

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
OPEN: Final = "0001-01-01T00:00:00Z"
SIGNING_KEY: Final = base64.b64encode(b"a key that only the two of us know").decode()
ROUTING_KEY: Final = "R0UT1NGKEY0000000000000000000000"
LINK: Final = re.compile(r"^<https?://[^<>|\s]+\|Open the dashboard>$", re.MULTILINE)
Check = Callable[[Request, str], None]
"""(what arrived, firing or resolved)"""


def texts(found: Any) -> None:
    """A map of strings."""
    assert isinstance(found, dict)
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in found.items())


def exactly(found: Mapping[str, Any], required: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    assert required <= set(found) <= required | optional, set(found)


def alertmanager(request: Request, event: str) -> None:
    assert request.path == "/api/v2/alerts"
    (alert,) = request.json
    exactly(alert, {"labels"}, {"annotations", "startsAt", "endsAt", "generatorURL"})
    texts(alert["labels"])
    texts(alert["annotations"])
    assert alert["labels"]["alertname"]
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in alert["labels"])
    assert TIME.fullmatch(alert["startsAt"])
    assert TIME.fullmatch(alert["endsAt"])
    assert alert["startsAt"] < alert["endsAt"]


def webhook(request: Request, event: str) -> None:
    found = request.json
    own = {"version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"}
    exactly(found, own | {"commonAnnotations", "externalURL", "alerts"})
    assert found["version"] == "4"
    assert found["status"] == event
    assert found["truncatedAlerts"] == 0
    assert found["alerts"]
    for alert in found["alerts"]:
        exactly(alert, {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"})
        assert alert["status"] == event
        assert (alert["endsAt"] == OPEN) == (event == "firing")
        assert TIME.fullmatch(alert["startsAt"])
        assert found["groupLabels"].items() | found["commonLabels"].items() <= alert["labels"].items()
        assert found["commonAnnotations"].items() <= alert["annotations"].items()
        texts(alert["labels"])
        texts(alert["annotations"])
    for labels in (found["groupLabels"], found["commonLabels"], found["commonAnnotations"]):
        texts(labels)


def signed(request: Request, event: str) -> None:
    message, sent, signature = (request.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    content = f"{message}.{sent}.".encode() + request.body
    mac = hmac.new(base64.b64decode(SIGNING_KEY), content, hashlib.sha256).digest()
    assert signature == "v1," + base64.b64encode(mac).decode()
    found = request.json
    exactly(found, {"type", "timestamp", "data"})
    assert found["type"] == f"alert.{event}"
    assert TIME.fullmatch(found["timestamp"])
    assert found["data"]["fingerprint"]


def slack(request: Request, event: str) -> None:
    found = request.json
    exactly(found, {"text", "blocks"})
    assert 0 < len(found["text"]) <= 3000
    assert 0 < len(found["blocks"]) <= 50
    for block in found["blocks"]:
        kind, text = block["type"], block["text"]
        assert (kind, text["type"]) in {("header", "plain_text"), ("section", "mrkdwn")}
        assert 0 < len(text["text"]) <= (150 if kind == "header" else 3000)
        if kind == "section":
            assert not re.search(r"<|>|&(?!amp;|lt;|gt;)", LINK.sub("", text["text"]))


def apprise(request: Request, event: str) -> None:
    """As apprise's JSON service sends it."""
    found = request.json
    exactly(found, {"version", "title", "message", "attachments", "type"})
    assert found["title"]
    assert found["message"]
    assert found["type"] in {"firing": {"failure", "warning", "info"}, "resolved": {"success"}}[event]


def pagerduty(request: Request, event: str) -> None:
    found = request.json
    exactly(found, {"routing_key", "event_action", "dedup_key"}, {"payload", "client", "client_url", "links", "images"})
    assert found["routing_key"] == ROUTING_KEY
    assert found["event_action"] == {"firing": "trigger", "resolved": "resolve"}[event]
    assert 0 < len(found["dedup_key"]) <= 255
    payload = found["payload"]
    exactly(
        payload,
        {"summary", "source", "severity"},
        {"timestamp", "component", "group", "class", "custom_details"},
    )
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in {"critical", "error", "warning", "info"}
    assert TIME.fullmatch(payload["timestamp"])
    texts(payload["custom_details"])
    for link in found.get("links", []):
        exactly(link, {"href"}, {"text"})
        texts(link)


CHECKS: Final[Mapping[str, Check]] = {
    "alertmanager": alertmanager,
    "webhook": webhook,
    "signed": signed,
    "slack": slack,
    "pagerduty": pagerduty,
    "apprise": apprise,
}
