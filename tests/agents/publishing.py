"""Made traffic that is published in the background while something happens to the workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

import polars as pl

from streams.config import Settings
from streams.local.traffic import Traffic, last_monday_us, make_traffic
from streams.local.traffic.records import Record, records
from streams.publish.bulk import publish_records

EVENLY = 0.7
SLOW_S = 0.2
"""Between 100 records: of 300,000 the last third takes three minutes."""


def traffic(seed: int, events: int, tenant: str) -> Traffic:
    """A month of a company of its own, with late and repeated events."""
    made = make_traffic(seed=seed, days=28, teams=12, events=events, end_us=last_monday_us(datetime.now(UTC)))
    named = pl.lit(tenant).alias("tenant")
    return Traffic(
        made.seed, made.begin_us, made.end_us, made.teams, made.episodes, made.usage.with_columns(named), made.items.with_columns(named)
    )  # fmt: skip


class Publishing(threading.Thread):
    """Publishes records: most of them evenly over some seconds, the rest so slowly that traffic flows until the block of `published` ends."""

    def __init__(self, settings: Settings, found: list[Record], seconds: float) -> None:
        super().__init__(name="publishing", daemon=True)
        self._settings, self._records, self._seconds = settings, found, seconds
        self.done = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            publish_records(self._settings, self._paced())
        except BaseException as error:  # noqa: BLE001 - raised again by `published`
            self.error = error

    def _paced(self) -> Iterator[Record]:
        began, slow_from = time.monotonic(), EVENLY * len(self._records)
        for number, record in enumerate(self._records):
            if number % 100 == 0 and not self.done.is_set():
                behind = began + self._seconds * number / slow_from - time.monotonic()
                self.done.wait(max(0.0, behind) if number < slow_from else SLOW_S)
            yield record


@contextmanager
def published(settings: Settings, found: list[Record], seconds: float) -> Iterator[None]:
    """Publish while the block runs; when this has ended all is acknowledged."""
    publishing = Publishing(settings, found, seconds)
    publishing.start()
    yield
    assert publishing.is_alive(), "the traffic had ended before"
    publishing.done.set()
    publishing.join()
    if publishing.error is not None:
        raise publishing.error


@cache
def recorded(seed: int, events: int, tenant: str, partitions: int) -> list[Record]:
    """The records of `traffic`, in the order of publishing."""
    return [record for chunk in records(traffic(seed, events, tenant), partitions) for record in chunk]
