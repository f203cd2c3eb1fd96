"""A webhook in Alertmanager's own form, version 4: whatever takes notices of Alertmanager takes these."""

from __future__ import annotations

from typing import Any, Final

from streams.deliver.http_channel import HttpChannel
from streams.deliver.notice import Notice
from streams.detect.words import instant

OPEN: Final = "0001-01-01T00:00:00Z"
"""Go's zero time: the end of an alert that has none."""


class Webhook(HttpChannel):
    """One message has one alert, a group of its own, or what grouping.py has put together."""

    def body(self, notice: Notice) -> dict[str, Any]:
        by = ("tenant", "alertname") if "alertname" in notice.labels else ("tenant", "kind")
        named = {name: notice.labels[name] for name in by if name in notice.labels}
        by_name = ", ".join(f'{name}="{value}"' for name, value in named.items())
        return {
            "version": "4",
            "groupKey": f"{{}}:{{{by_name}}}" if notice.members else f'{{}}:{{fingerprint="{notice.fingerprint}"}}',
            "truncatedAlerts": 0,
            "status": notice.event,
            "receiver": self.policy.name,
            "groupLabels": named,
            "commonLabels": dict(notice.labels),
            "commonAnnotations": {} if notice.members else _annotations(notice),
            "externalURL": "",
            "alerts": [
                {
                    "status": one.event,
                    "labels": dict(one.labels),
                    "annotations": _annotations(one),
                    "startsAt": instant(one.starts_at),
                    "endsAt": instant(one.ends_at) if one.ends_at else OPEN,
                    "generatorURL": one.link,
                    "fingerprint": one.fingerprint,
                }
                for one in notice.members or (notice,)
            ],
        }


def _annotations(notice: Notice) -> dict[str, str]:
    return {"summary": notice.title, "description": notice.text}
