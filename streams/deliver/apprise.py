"""Everything else: the services of the library apprise (extra `apprise`), chat, SMS, push and more, each named by one address."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Final

from streams.deliver.apprise_child import Order, Result
from streams.deliver.channel import Channel, Delivered, Outcome, Refused, Retry
from streams.deliver.http_channel import outcome, told
from streams.deliver.notice import Notice
from streams.deliver.posting import Answer, retry_after_s
from streams.errors import ConfigError

START_S: Final = 20.0
"""The process is given so long to start and end on a busy machine; a message's own time begins after that."""
_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""What the process is told; no proxies, and no secrets of the worker."""
_TYPES: Final = {"page": "failure", "ticket": "warning", "digest": "info"}


class Apprise(Channel):
    """The policy's url is apprise's, a secret as a whole; one target in it, for all count as one. Each message is a process of its own."""

    def check(self) -> None:
        """Whether apprise is there and understands the address; half a second."""
        if find_spec("apprise") is None:
            raise ConfigError("kind", "apprise is not installed", remedy="pip install 'tokenworth[apprise]'")
        wrong = self._asked(self._order(send=False)).get("wrong")
        if wrong:
            raise ConfigError("url_env", wrong, remedy="compare it with apprise's list of services")

    def send(self, notice: Notice) -> Outcome:
        """See Channel."""
        kind = "success" if notice.event == "resolved" else _TYPES.get(notice.kind, "failure")
        found = self._asked(self._order(send=True, title=notice.title, body=notice.text, kind=kind))
        if "wrong" in found:
            return Refused(found["wrong"])
        if "failed" in found:
            return Retry(found["failed"])
        if found.get("sent"):
            return Delivered()
        status = found.get("status", 0)
        if not status:
            return Retry("apprise could not send it, and does not say why")
        answer = Answer(status, retry_after_s(found.get("retry_after", ""), time.time()), found.get("text", ""))
        url = self.policy.url.get_secret_value()
        secrets = (url, *re.split(r"[/:@?&=#]+", url))
        came = outcome(answer, secrets)
        return Refused(told(answer, secrets)) if isinstance(came, Delivered) else came

    def _order(self, *, send: bool, title: str = "", body: str = "", kind: str = "info") -> Order:
        policy = self.policy
        return Order(
            send=send,
            url=policy.url.get_secret_value(),
            title=title,
            body=body,
            type=kind,
            allow_private=policy.allow_private,
            timeout_s=policy.timeout_s,
        )

    def _asked(self, order: Order) -> Result:
        known = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment = {**known, "PYTHONPATH": os.pathsep.join(sys.path), "NETRC": os.devnull}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "streams.deliver.apprise_child"],
                input=json.dumps(order),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                timeout=order["timeout_s"] + START_S,
                env=environment,
                check=False,
            )
            found: Result = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            return Result(failed=f"no answer within {order['timeout_s']:g} s")
        except (OSError, ValueError):
            return Result(failed="the process for apprise broke off")
        return found
