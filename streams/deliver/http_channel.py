"""What all channels over HTTP have in common: they turn a notice into one POST, and its answer into an outcome."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from streams.deliver.channel import Channel, Delivered, Outcome, Refused, Retry
from streams.deliver.notice import Notice
from streams.deliver.posting import Answer, Forbidden, Unreachable, post

_AGAIN: Final = frozenset({408, 425, 429})
_REASON_CHARS: Final = 160
_SHORTEST_SECRET: Final = 6
"""Parts of a path that are shorter are words, such as v2 or hooks."""


class HttpChannel(Channel):
    """A channel whose notice is one POST."""

    @abstractmethod
    def body(self, notice: Notice) -> Any:
        """What is sent, as JSON."""

    def url(self) -> SecretStr:
        """Where it is sent."""
        return self.policy.url

    def headers(self, notice: Notice, body: bytes) -> Mapping[str, str]:
        """Headers beside the content type; here: a bearer token, if the policy has one."""
        token = self.policy.secret.get_secret_value()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def send(self, notice: Notice) -> Outcome:
        """See Channel."""
        body = json.dumps(self.body(notice), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **self.headers(notice, body)}
        policy = self.policy
        try:
            answer = post(self.url(), body, headers, allow_private=policy.allow_private, timeout_s=policy.timeout_s)
        except Forbidden as error:
            return Refused(str(error))
        except Unreachable as error:
            return Retry(str(error))
        return self._outcome(answer)

    def _outcome(self, answer: Answer) -> Outcome:
        url = self.policy.url.get_secret_value()
        parts, secret = urlsplit(url), self.policy.secret.get_secret_value()
        return outcome(answer, (url, secret, secret.removeprefix("whsec_"), parts.query, *parts.path.split("/")))


def outcome(answer: Answer, secrets: Iterable[str]) -> Outcome:
    """What an answer means. Its text may repeat what it was sent: `secrets` are taken out."""
    if 200 <= answer.status < 300:
        return Delivered()
    if 300 <= answer.status < 400:
        return Refused(f"answered {answer.status}: redirects are not followed")
    reason = told(answer, secrets)
    if answer.status in _AGAIN or answer.status >= 500:
        return Retry(reason, answer.retry_after_s)
    return Refused(reason)


def told(answer: Answer, secrets: Iterable[str]) -> str:
    """Status and the begin of the text, without secrets."""
    text = " ".join(answer.text.split())
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    text = text[:_REASON_CHARS]
    return f"answered {answer.status}" + (f": {text}" if text.isprintable() and text else "")
