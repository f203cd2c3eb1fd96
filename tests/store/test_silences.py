"""Silences and acknowledgements on the engine: written, read, expired, and gone with the episode."""

from __future__ import annotations

from dataclasses import replace

from streams.detect.alert import alert_rows
from streams.detect.silences import Acknowledgement, Silence, matchers_of
from streams.store.client import Client
from streams.store.deliveries import delivery_rows, load_deliveries
from streams.store.reading import ClickHouseStored
from streams.store.silences import acknowledgement_rows, load_acknowledgements, load_silences, silence_rows
from streams.store.sink import ClickHouseInserts, Sink
from tests.deliver.made import T0, alert
from tests.deliver.test_quiet import WAITING


def test_a_silence_comes_back_as_it_was_written_and_can_be_expired(migrated: Client) -> None:
    sink, stored = Sink(ClickHouseInserts(migrated), "test"), ClickHouseStored(migrated)
    assert load_silences(stored, 0) == []
    matchers = matchers_of(['team="se\\"a\\\\rch"', "alertname=~spend.*|feed_silent", "kind!=page", "tenant!~a|b"])
    silence = Silence("s1", matchers, T0, T0 + 100, T0, "ann", "load test")
    sink.rows("alert_silences", silence_rows(silence, T0))
    sink.rows("alert_silences", silence_rows(replace(silence, id="s2", ends_at=T0 + 99), T0))
    assert load_silences(stored, T0) == [replace(silence, id="s2", ends_at=T0 + 99), silence]
    assert load_silences(stored, T0 + 99) == [silence]
    sink.rows("alert_silences", silence_rows(replace(silence, ends_at=T0 + 7), T0 + 7))
    sink.rows("alert_silences", silence_rows(silence, T0))  # repeated late
    assert load_silences(stored, T0 + 8) == [replace(silence, id="s2", ends_at=T0 + 99)]
    migrated.command(
        "INSERT INTO alert_silences SELECT 's3', ['owner=\"x\"'], * EXCEPT (id, matchers) FROM alert_silences LIMIT 1"
    )
    assert "s3" not in {found.id for found in load_silences(stored, 0)}  # a label of a later version


def test_an_acknowledgement_is_gone_with_its_episode(migrated: Client) -> None:
    sink, stored = Sink(ClickHouseInserts(migrated), "test"), ClickHouseStored(migrated)
    assert load_acknowledgements(stored) == {}
    firing = alert()
    sink.rows("alerts", alert_rows([firing]))
    first = Acknowledgement(firing.fingerprint, firing.started_at, T0, "ann", "on it", until=T0 + 5)
    again = replace(first, acked_at=T0 + 1, acked_by="bob", until=0)
    for one in (again, first, replace(first, started_at=first.started_at + 1)):
        sink.rows("alert_acknowledgements", acknowledgement_rows(one))
    assert load_acknowledgements(stored) == {(firing.fingerprint, firing.started_at): again}
    sink.rows("alerts", alert_rows([alert("resolved")]))
    assert load_acknowledgements(stored) == {}


def test_what_is_dropped_wins_over_what_was_expected(migrated: Client) -> None:
    sink, stored = Sink(ClickHouseInserts(migrated), "test"), ClickHouseStored(migrated)
    sink.rows("alerts", alert_rows([alert("resolved")]))
    gone = replace(WAITING, status="dropped", error="over before its silence")
    for row in (WAITING, gone, WAITING):
        sink.rows("alert_deliveries", delivery_rows([row]))
    assert load_deliveries(stored, T0) == {gone.key: gone}
