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


def traffic(seed: int, events: int, tenant: str) -> Traffic:
    """A month of a company of its own, with late and repeated events."""
    made = make_traffic(seed=seed, days=28, teams=12, events=events, end_us=last_monday_us(datetime.now(UTC)))
    named = pl.lit(tenant).alias("tenant")
    return Traffic(
        made.seed, made.begin_us, made.end_us, made.teams, made.episodes, made.usage.with_columns(named), made.items.with_columns(named)
    )  # fmt: skip


class Publishing(threading.Thread):
    """Publishes records from the time it is started, evenly over `seconds` or, by default, as fast as it goes."""

    def __init__(self, settings: Settings, found: list[Record], seconds: float = 0.0) -> None:
        super().__init__(name="publishing", daemon=True)
        self._settings, self._records, self._seconds = settings, found, seconds
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            publish_records(self._settings, self._paced())
        except BaseException as error:  # noqa: BLE001 - raised again by `published`
            self.error = error

    def _paced(self) -> Iterator[Record]:
        began = time.monotonic()
        for number, record in enumerate(self._records):
            if self._seconds and number % 1000 == 0:
                time.sleep(max(0.0, began + self._seconds * number / len(self._records) - time.monotonic()))
            yield record


@contextmanager
def published(settings: Settings, found: list[Record], seconds: float = 0.0) -> Iterator[Publishing]:
    """Publish while the block runs; at its end all is acknowledged."""
    publishing = Publishing(settings, found, seconds)
    publishing.start()
    yield publishing
    publishing.join()
    if publishing.error is not None:
        raise publishing.error


@cache
def recorded(seed: int, events: int, tenant: str, partitions: int) -> list[Record]:
    """The records of `traffic`, in the order of publishing."""
    return [record for chunk in records(traffic(seed, events, tenant), partitions) for record in chunk]
