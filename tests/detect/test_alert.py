"""An alert outside the engine: its identity, its row, its message, and the view that analysts read."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import fields, replace

import clickhouse_connect
import polars as pl

from streams.detect.alert import Alert, alert_rows, alerts_from_rows, fingerprint
from streams.store.migrations import migrate

ALERT = Alert(
    rule="spend_runaway",
    tenant="acme",
    team="ads-ui",
    kind="page",
    size="1h",
    state="firing",
    started_at=1_771_769_100_000_000,
    fired_at=1_771_769_700_000_000,
    clear_since=0,
    resolved_at=0,
    window_end=1_771_769_700_000_000,
    unit="micro_usd",
    value=142_100_000,
    baseline=12_900_000,
    threshold=100_000_000,
    spend_micro_usd=142_100_000,
    usual_spend_micro_usd=0,
    core_value_milli=500,
    usual_core_value_milli=1000,
    deliver=True,
    summary="ads-ui spent a lot",
)


def test_the_fingerprint_is_that_of_the_labels_in_any_order() -> None:
    assert fingerprint({"b": "2", "a": "1"}) == fingerprint({"a": "1", "b": "2"}) == "752dbaf8275468a8"
    assert fingerprint({"a": '1","b":"2'}) != fingerprint({"a": "1", "b": "2"})
    assert ALERT.fingerprint == replace(ALERT, state="resolved", value=1, summary="").fingerprint
    for other in (replace(ALERT, team="x"), replace(ALERT, tenant="x"), replace(ALERT, rule="x")):
        assert other.fingerprint != ALERT.fingerprint


def test_a_row_holds_the_whole_alert() -> None:
    alerts = [ALERT, replace(ALERT, state="resolved", resolved_at=1_771_769_999_000_000, deliver=False)]
    rows = alert_rows(alerts)
    assert alerts_from_rows(rows) == alerts
    assert rows.columns == ["fingerprint", *(entry.name for entry in fields(Alert)), "version"]
    assert rows["version"].to_list() == [alert.window_end for alert in alerts]
    assert alert_rows([]).schema == rows.schema


def test_the_message_speaks_alertmanagers_names() -> None:
    message = json.loads(ALERT.message())
    assert message["labels"] == {
        "alertname": "spend_runaway",
        "kind": "page",
        "team": "ads-ui",
        "tenant": "acme",
        "window": "1h",
    }
    assert message["annotations"] == {"summary": "ads-ui spent a lot"}
    assert (message["startsAt"], message["endsAt"], message["firedAt"]) == (
        "2026-02-22T14:05:00Z",
        "0001-01-01T00:00:00Z",
        "2026-02-22T14:15:00Z",
    )
    assert (message["fingerprint"], message["state"], message["value"], message["unit"]) == (
        ALERT.fingerprint,
        "firing",
        142_100_000,
        "micro_usd",
    )
    ended = json.loads(replace(ALERT, state="resolved", resolved_at=ALERT.fired_at + 1_800_000_000).message())
    assert (ended["state"], ended["endsAt"]) == ("resolved", "2026-02-22T14:45:00Z")


def test_the_view_shows_the_latest_state_of_teams_above_the_privacy_floor(clickhouse_database: str) -> None:
    with closing(
        clickhouse_connect.get_client(
            dsn=clickhouse_database, autogenerate_session_id=False, settings={"async_insert": 0}
        )
    ) as client:
        migrate(client)
        small, gone = replace(ALERT, team="three"), replace(ALERT, team="gone", state="inactive")
        resolved = replace(
            ALERT, state="resolved", resolved_at=ALERT.window_end + 60_000_000, window_end=ALERT.window_end + 60_000_000
        )
        for alerts in ([resolved, small, gone], [ALERT]):  # the older version comes last: it must not win
            client.insert_arrow("alerts", alert_rows(alerts).to_arrow())
        people = [("acme", "team", team, "28d", 1_771_718_400 + day, count, 1) for team, day, count in PEOPLE]
        names = ["tenant", "grouping", "team", "size", "window_end", "contributors", "version"]
        client.insert("value_windows", people, column_names=names)
        view = "SELECT team, state, value, usual_value, threshold, fired_at IS NULL, resolved_at IS NULL FROM v_alerts ORDER BY team"
        shown = ("ads-ui", "resolved", 142.1, 12.9, 100.0, 0, 0)
        assert client.query(view).result_rows == [shown]
        client.insert(
            "tenant_settings", [("acme", "privacy_floor", "3", 1)], column_names=["tenant", "name", "value", "version"]
        )
        assert client.query(view).result_rows == [shown, ("three", "firing", 142.1, 12.9, 100.0, 0, 1)]
        assert alerts_from_rows(pl.DataFrame(client.query_arrow("SELECT * FROM alerts FINAL WHERE team = 'gone'"))) == [
            gone
        ]


PEOPLE = [("ads-ui", 0, 3), ("ads-ui", 86_400, 8), ("three", 0, 3), ("gone", 0, 9)]
