"""Prometheus Alertmanager: POST /api/v2/alerts. It groups, silences, inhibits and reminds by itself.

A firing alert is posted again every REFRESH_S and would end by itself HELD_S after the last post: if nobody is left to say that it is over.
A resolved one is posted with its end, which is in the past.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import SecretStr

from streams.deliver.http_channel import HttpChannel
from streams.deliver.notice import Notice
from streams.detect.words import instant

HELD_S: Final = 3600
"""Longer than any pause between two attempts (LONGEST_S and ASKED_S of the outbox), or a firing alert would seem to end."""
PATH: Final = "/api/v2/alerts"


class Alertmanager(HttpChannel):
    """The policy's url is Alertmanager's root, with its path prefix if it has one."""

    def url(self) -> SecretStr:
        return SecretStr(self.policy.url.get_secret_value().rstrip("/").removesuffix(PATH) + PATH)

    def body(self, notice: Notice) -> list[dict[str, Any]]:
        ends_at = notice.ends_at or notice.told_at + HELD_S * 1_000_000
        return [
            {
                "labels": {name: value for name, value in notice.labels.items() if value},
                "annotations": {"summary": notice.title, "description": notice.text},
                "startsAt": instant(notice.starts_at),
                "endsAt": instant(ends_at),
                **({"generatorURL": notice.link} if notice.link else {}),
            }
        ]
