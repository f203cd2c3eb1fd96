"""A generic webhook, signed as Standard Webhooks (standardwebhooks.com) says: the receiver can tell that it comes from here, and only once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from streams.deliver.channel import ChannelPolicy
from streams.deliver.http_channel import HttpChannel
from streams.deliver.notice import Notice
from streams.detect.words import instant
from streams.errors import ConfigError

_PREFIX: Final = "whsec_"


class Signed(HttpChannel):
    """The policy's secret is base64 of 24 to 64 bytes, with or without whsec_ before it. Raises ConfigError for another."""

    def __init__(self, policy: ChannelPolicy) -> None:
        super().__init__(policy)
        try:
            self._key = base64.b64decode(policy.secret.get_secret_value().removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        if not 24 <= len(self._key) <= 64:
            raise ConfigError(
                "secret_env",
                "the signing secret is not base64 of 24 to 64 bytes",
                remedy='make one with: echo "whsec_$(openssl rand -base64 32)"',
            )

    def body(self, notice: Notice) -> dict[str, Any]:
        together = {"alerts": [_data(one) for one in notice.members]} if notice.members else {}
        return {
            "type": f"alert.{notice.event}",
            "timestamp": instant(notice.told_at),
            "data": {**_data(notice), **together},
        }

    def headers(self, notice: Notice, body: bytes) -> Mapping[str, str]:
        sent_s = int(time.time())  # of the attempt: receivers refuse old ones
        return {
            "webhook-id": notice.id,
            "webhook-timestamp": str(sent_s),
            "webhook-signature": f"v1,{signature(self._key, notice.id, sent_s, body)}",
        }


def _data(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "fingerprint": notice.fingerprint,
        "title": notice.title,
        "labels": dict(notice.labels),
        "facts": dict(notice.facts),
        "link": notice.link or None,
        "chart": asdict(notice.chart) if notice.chart else None,
        "starts_at": instant(notice.starts_at),
        "ends_at": instant(notice.ends_at) if notice.ends_at else None,
    }


def signature(key: bytes, message_id: str, sent_s: int, body: bytes) -> str:
    """HMAC-SHA256 of id, time and body, base64."""
    signed = b".".join((message_id.encode(), str(sent_s).encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
