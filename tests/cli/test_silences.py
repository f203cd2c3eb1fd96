"""`tokenworth alerts`: what people see of alerts and say about them, on the engine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app
from streams.cli.durations import duration_us
from streams.deliver.channel import Delivered, Retry
from streams.deliver.outbox import Delivery, after
from streams.detect.alert import alert_rows
from streams.errors import ConfigError
from streams.store.client import Client, connect
from streams.store.deliveries import delivery_rows
from streams.store.installation import set_privacy_floor
from streams.store.migrations import migrate
from streams.store.sink import ClickHouseInserts, Sink
from tests.deliver.made import T0, alert

MINUTE = 60_000_000
RUNAWAY, SILENT = alert(), alert(rule="feed_silent", team="ads", unit="milli_requests")
HELD = alert(
    rule="low_value_share", team="ads", kind="ticket", unit="per_mille", size="7d", value=310, summary="ads put"
)
OVER = alert(
    "resolved",
    started_at=T0 - 90 * MINUTE,
    fired_at=T0 - 80 * MINUTE,
    window_end=T0 - 50 * MINUTE,
    resolved_at=T0 - 50 * MINUTE,
)
Ask = Callable[..., Result]


@pytest.fixture
def database(clickhouse_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with closing(connect(clickhouse_database)) as client:
        migrate(client)
        set_privacy_floor(client, "acme", 0)
        Sink(ClickHouseInserts(client), "test").rows("alerts", alert_rows([OVER, RUNAWAY, SILENT, HELD]))
        monkeypatch.setenv("TOKENWORTH_CLICKHOUSE", clickhouse_database)
        monkeypatch.setenv("TOKENWORTH_KAFKA", "127.0.0.1:9")
        monkeypatch.setenv("COLUMNS", "250")
        yield client


@pytest.fixture
def ask(database: Client) -> Ask:
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, ["alerts", *arguments])


def found(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_list_says_what_is_kept_back_and_why(ask: Ask) -> None:
    plain = ask("--tenant", "acme", "--open").stdout
    assert plain == ask("list", "--tenant", "acme", "--open").stdout
    assert [line.split()[:4] for line in plain.splitlines()[3:-1]] == [
        [one.fingerprint[:8], "firing", one.kind, one.team] for one in (SILENT, HELD, RUNAWAY)
    ]
    rows = found(ask("list", "--tenant", "acme", "--json"))
    assert [(row["rule"], row["state"], row["notices"]) for row in rows] == [
        ("feed_silent", "firing", ""),
        ("low_value_share", "firing", "inhibited by feed_silent"),
        ("spend_runaway", "firing", ""),
        ("spend_runaway", "resolved", ""),
    ]


def test_a_silence_from_its_beginning_to_its_early_end(ask: Ask) -> None:
    begun = time.time()
    made = ask(
        "silence",
        "team=search",
        "alertname=~spend.*",
        "--for",
        "4h",
        "--why",
        "load test",
        "--by",
        "ann",
        "--tenant",
        "acme",
    )
    assert made.exit_code == 0, made.output
    identity = re.match(r"silence (\w{8}) from ", made.stdout)
    assert identity
    assert 'team="search" alertname=~"spend.*" tenant="acme"' in made.stdout
    assert "it holds back now: 1\n  search spent $1,490" in made.stdout
    rows = found(ask("list", "--tenant", "acme", "--team", "search", "--json"))
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "then", row["notices"]) for row in rows] == [
        "silenced until then UTC by ann: load test",
        "",
    ]
    (row,) = found(ask("silences", "--json"))
    assert (row["id"], row["state"], row["created_by"], row["comment"]) == (identity[1], "active", "ann", "load test")
    shown = found(ask("show", RUNAWAY.fingerprint, "--tenant", "acme", "--json"))
    assert [silence["id"] for silence in shown["silences"]] == [identity[1]]
    assert "Ended" in ask("silences", "--expire", identity[1][:5]).stdout
    assert found(ask("silences", "--json")) == []
    assert found(ask("list", "--tenant", "acme", "--team", "search", "--json"))[0]["notices"] == ""
    assert time.time() - begun < 60


def test_show_tells_all_that_is_known(ask: Ask, database: Client) -> None:
    sink = Sink(ClickHouseInserts(database), "test")
    first = Delivery(RUNAWAY.fingerprint, RUNAWAY.started_at, "firing", "leads")
    sink.rows("alert_deliveries", delivery_rows([after(first, Retry("answered 503"), T0, 0.0, 60)]))
    sink.rows("alert_deliveries", delivery_rows([after(replace(first, channel="on-call"), Delivered(), T0, 0.0, 60)]))
    done = ask("ack", RUNAWAY.fingerprint[:6].upper(), "--why", "stopping the job", "--by", "ann", "--tenant", "acme")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("acknowledged by ann: [page] search: spend runaway")
    assert "no reminders until it is over" in done.stdout
    shown = ask("show", RUNAWAY.fingerprint[:6], "--tenant", "acme").stdout
    for part in (
        RUNAWAY.fingerprint,
        "State: firing, acknowledged by ann: stopping the job",
        "$1,490, usually $120",
        "answered 503",
        "Episodes, the latest first",
    ):
        assert part in shown
    everything = found(ask("show", RUNAWAY.fingerprint, "--tenant", "acme", "--json"))
    assert [(row["channel"], row["status"], row["attempts"]) for row in everything["deliveries"]] == [
        ("leads", "due", 1),
        ("on-call", "sent", 1),
    ]
    assert [episode["state"] for episode in everything["episodes"]] == ["firing", "resolved"]
    assert everything["acknowledgement"]["acked_by"] == "ann"


WRONG: list[tuple[tuple[str, ...], str, str]] = [
    (("show", "zz"), "no alert begins with 'zz'", "tokenworth alerts list"),
    (("show", ""), "no alert begins with ''", "tokenworth alerts list"),
    (("ack", RUNAWAY.fingerprint, "--why", " "), "--why: is empty", "say why"),
    (("ack", RUNAWAY.fingerprint, "--why", "x", "--for", "soon"), "--for: 'soon' is no length of time", "--for 30m"),
    (("silence", "team", "--for", "4h", "--why", "x"), "'team' is no matcher", "team=search"),
    (("silence", "team=a", "--for", "4h", "--why", " "), "--why: is missing", "say why"),
    (("silence", "team=a", "--for", "4h", "--from", "2020-01-01", "--why", "x"), "over already", "later beginning"),
]


def test_what_cannot_be_done_is_said(ask: Ask) -> None:
    for arguments, says, remedy in WRONG:
        done = ask(*arguments, "--tenant", "acme")
        assert done.exit_code == 2
        assert says in done.stderr
        assert remedy in done.stderr


def test_an_alert_that_is_over_cannot_be_acknowledged(ask: Ask, database: Client) -> None:
    sink = Sink(ClickHouseInserts(database), "test")
    sink.rows("alerts", alert_rows([alert("resolved")]))
    done = ask("ack", RUNAWAY.fingerprint, "--why", "x", "--tenant", "acme")
    assert (done.exit_code, "does not fire: it is resolved" in done.stderr) == (2, True)
    done = ask("silences", "--expire", "zz")
    assert (done.exit_code, "no silence that is not over begins with it" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "minutes"), [("30m", 30), ("4h", 240), ("1d12h", 2160), (" 90 min", 90), ("1w", 10_080)]
)
def test_lengths_of_time(text: str, minutes: int) -> None:
    assert duration_us(text, "--for") == minutes * MINUTE


@pytest.mark.parametrize("text", ["", "4", "h", "-4h", "0m", "400d", "4h later"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ConfigError, match="--for"):
        duration_us(text, "--for")


def test_with_several_tenants_a_silence_says_whose(ask: Ask, database: Client) -> None:
    for tenant in ("acme", "other"):
        database.command(f"INSERT INTO panes (tenant, pane_start) VALUES ('{tenant}', '2026-01-31 12:00:00')")
    quietly = ("silence", "alertname=spend_runaway", "--for", "4h", "--why", "x")
    done = ask(*quietly)
    assert (done.exit_code, "name one of acme, other" in done.stderr) == (2, True)
    assert "holds back now: 0" in ask(*quietly, 'tenant=""').stdout
    assert "holds back now: 0" in ask(*quietly, "--tenant", "other").stdout
    assert "holds back now: 1" in ask(*quietly, "--tenant", "acme").stdout
