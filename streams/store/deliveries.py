"""The outbox in ClickHouse: alerts that are told, and a row for each of their notices and channels."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import asdict, fields
from typing import Final

import polars as pl

from streams.deliver.outbox import TOLD_FOR_S, Delivery, Key
from streams.detect.alert import Alert, alerts_from_rows
from streams.events.keys import partition_of
from streams.store.reading import Stored
from streams.store.rows import TIME

_TIMES: Final = ("started_at", "due_at", "sent_at")
_COUNTS: Final = ("attempts", "failures")


def load_told(stored: Stored, wparts: Container[int], partitions: int, now_us: int) -> list[Alert]:
    """Alerts to be told whose tenants belong to these partitions of value-windows."""
    alerts = alerts_from_rows(stored.read("alerts/told", since=now_us - TOLD_FOR_S * 1_000_000))
    return [alert for alert in alerts if partition_of(alert.tenant, partitions) in wparts]


def load_deliveries(stored: Stored, now_us: int) -> dict[Key, Delivery]:
    """The rows of all notices of alerts to be told."""
    rows = stored.read("alerts/deliveries", since=now_us - TOLD_FOR_S * 1_000_000)
    plain = rows.with_columns(pl.col(_TIMES).cast(TIME).cast(pl.Int64))
    found = (Delivery(**row) for row in plain.iter_rows(named=True))
    return {delivery.key: delivery for delivery in found}


def delivery_rows(deliveries: Iterable[Delivery]) -> pl.DataFrame:
    """Rows of alert_deliveries; their version grows with the attempts, and once more when a notice is done or given up."""
    schema = {entry.name: pl.Int64 if entry.name in (*_TIMES, *_COUNTS) else pl.String for entry in fields(Delivery)}
    rows = pl.DataFrame([asdict(delivery) for delivery in deliveries], schema=schema)
    return rows.with_columns(
        pl.col(_TIMES).cast(TIME),
        pl.col(_COUNTS).cast(pl.UInt32),
        version=(2 * pl.col("attempts") + (pl.col("status") != "due")).cast(pl.UInt64),
    )
