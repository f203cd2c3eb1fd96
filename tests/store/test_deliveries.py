"""The outbox's rows and questions, on the engine."""

from __future__ import annotations

from dataclasses import replace

from streams.deliver.channel import Delivered, Retry
from streams.deliver.outbox import TOLD_FOR_S, Delivery, after
from streams.detect.alert import alert_rows
from streams.events.keys import partition_of
from streams.store.client import Client
from streams.store.deliveries import delivery_rows, load_deliveries, load_told
from streams.store.reading import ClickHouseStored
from streams.store.sink import ClickHouseInserts, Sink
from tests.deliver.made import T0, alert


def test_alerts_and_deliveries_come_back_as_they_were_written(migrated: Client) -> None:
    sink, stored = Sink(ClickHouseInserts(migrated), "test"), ClickHouseStored(migrated)
    assert load_told(stored, {0}, 1, T0) == []
    assert load_deliveries(stored, T0) == {}
    told = [alert(), alert("resolved", team="ads"), alert("no_data", team="web")]
    others = [
        alert(team="old", deliver=False),
        alert("pending", team="young"),
        alert("resolved", team="past", window_end=T0 - TOLD_FOR_S * 1_000_000 - 1),
    ]
    sink.rows("alerts", alert_rows([*told, *others]))
    found = load_told(stored, {partition_of("acme", 4)}, 4, T0)
    assert sorted(found, key=str) == sorted(told, key=str)
    assert load_told(stored, {0, 1, 2, 3} - {partition_of("acme", 4)}, 4, T0) == []

    first = Delivery(told[0].fingerprint, told[0].started_at, "firing", "on-call", due_at=T0)
    failed = after(first, Retry("away"), T0, 0.5, 60)
    sent = after(failed, Delivered(), T0 + 9, 0.5, 60)
    stranger = replace(first, fingerprint="of no alert")
    for row in (first, sent, failed, first, stranger):
        sink.rows("alert_deliveries", delivery_rows([row]))
    assert load_deliveries(stored, T0) == {sent.key: sent}
