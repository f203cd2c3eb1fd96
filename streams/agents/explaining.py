"""Look-ups for a notice, beside its delivery: none stops it, and none delays it for longer than DEADLINE_S."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from streams.deliver.reasons import UNEXPLAINED, Explained
from streams.detect.alert import Alert

log = structlog.get_logger(__name__)

DEADLINE_S: Final = 5.0
"""A page must not wait for its reasons."""
KEPT: Final = 64
"""Alerts whose explanation is remembered: all channels and repeats tell the same, and it is looked up once."""


class Explainer:
    """Explains the alerts that a worker tells, one look-up at a time, in a thread of its own."""

    def __init__(self, look_up: Callable[[Alert], Explained], deadline_s: float = DEADLINE_S) -> None:
        self._look_up, self._deadline_s = look_up, deadline_s
        self._thread = ThreadPoolExecutor(1, "explain")
        self._asked: dict[tuple[str, int], asyncio.Future[Explained]] = {}
        self._late: asyncio.Future[Explained] | None = None

    async def of(self, alert: Alert) -> Explained:
        """What is known about a firing alert; nothing when the look-up fails or is late, or an earlier one has not come back yet."""
        if self._late is not None and not self._late.done():
            return UNEXPLAINED
        key = alert.fingerprint, alert.fired_at
        if key not in self._asked:
            while len(self._asked) >= KEPT:
                del self._asked[next(iter(self._asked))]
            self._asked[key] = asyncio.get_running_loop().run_in_executor(self._thread, self._look_up, alert)
        asked = self._asked[key]
        try:
            done, _ = await asyncio.wait({asked}, timeout=self._deadline_s)
            if done:
                return asked.result()
            self._late = asked
            log.warning("an alert is told without reasons: the look-up is late", rule=alert.rule)
        except Exception as error:  # noqa: BLE001 - whatever it is, the notice goes out
            log.warning("an alert is told without reasons", rule=alert.rule, error=type(error).__name__)
        self._asked.pop(key, None)
        return UNEXPLAINED
