"""PagerDuty Events API v2: one incident per fingerprint, triggered and resolved under the same key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.deliver.http_channel import HttpChannel
from streams.deliver.notice import Notice, shortened
from streams.detect.words import instant

SUMMARY_CHARS: Final = 1024
KEY_CHARS: Final = 255
_ACTION: Final = {"firing": "trigger", "acknowledged": "acknowledge", "resolved": "resolve"}
_SEVERITY: Final = {"page": "critical", "ticket": "warning", "digest": "info"}


class PagerDuty(HttpChannel):
    """The policy's secret is the routing key of an Events v2 integration; it travels in the body."""

    def headers(self, notice: Notice, body: bytes) -> Mapping[str, str]:
        return {}

    def body(self, notice: Notice) -> dict[str, Any]:
        labels = notice.labels
        return {
            "routing_key": self.policy.secret.get_secret_value(),
            "event_action": _ACTION[notice.event],
            "dedup_key": notice.fingerprint[:KEY_CHARS],
            "client": "tokenworth",
            "payload": {
                "summary": shortened(notice.title, SUMMARY_CHARS),
                "source": f"tokenworth/{labels.get('tenant', '')}",
                "severity": _SEVERITY.get(notice.kind, "critical"),
                "timestamp": instant(notice.starts_at),
                "component": labels.get("team", ""),
                "group": labels.get("tenant", ""),
                "class": labels.get("alertname", ""),
                "custom_details": dict(notice.facts),
            },
            **(
                {"client_url": notice.link, "links": [{"href": notice.link, "text": "Dashboard"}]}
                if notice.link
                else {}
            ),
        }
