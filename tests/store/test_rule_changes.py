"""An alert agent that starts with another rule file over a real store: it goes on with the alerts that are there, and pages nobody again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from streams.agents.alerts import AlertAgent
from streams.cli.settings import known_calendars
from streams.config import Settings
from streams.deliver import outbox
from streams.deliver.channel import ChannelPolicy, Delivered
from streams.deliver.configuration import load_calendars
from streams.deliver.messages import notice
from streams.detect.alert import Alert, alert_rows
from streams.errors import ConfigError
from streams.store.alerts import alert_checkpoint_row
from streams.store.client import Client
from streams.store.deliveries import delivery_rows, load_deliveries, load_told
from streams.store.reading import ClickHouseStored
from streams.store.sink import ClickHouseInserts, Sink
from streams.windows.measures import HOUR_US
from tests.detect.test_rule_changes import BEGIN_US, CHANGE_US, END_US, windows
from tests.store.windows_stored import store_windows

LATENESS_US = 600_000_000
CHANNEL = ChannelPolicy("on-call", "webhook", url=SecretStr("https://example.com"))


class Worker:
    """Judges with a rule file, stores what changed and sends what is due, as a worker does."""

    def __init__(self, client: Client, rules: Path) -> None:
        self.stored = ClickHouseStored(client)
        self.rows = Sink(ClickHouseInserts(client), "test").rows
        context: Any = SimpleNamespace(settings=Settings(alert_rules=str(rules)), stored=self.stored, partitions=1)
        self.engine = AlertAgent(context)._load(0, 0)[0].engine

    def judge(self, after_us: int, upto_us: int) -> list[str]:
        """Titles of the notices that went out, by the hour."""
        sent = []
        for hour in range(after_us, upto_us, HOUR_US):
            new = windows().filter(pl.col("window_end").is_between(hour, hour + HOUR_US, closed="right"))
            changes = self.engine.on_windows(new, hour + HOUR_US + LATENESS_US)
            self.rows("alerts", alert_rows(changes))
            self.rows("alert_checkpoints", alert_checkpoint_row(0, 0, self.engine.watermark_us, 1))
            sent += self._deliver(hour + HOUR_US)
        return sent

    def _deliver(self, now_us: int) -> list[str]:
        alerts = load_told(self.stored, {0}, 1, now_us)
        due = outbox.due(alerts, load_deliveries(self.stored, now_us), [CHANNEL], now_us)
        noted = [outbox.after(one.delivery, Delivered(), now_us, 0.0, 7 * 86_400) for one in due]
        if noted:
            self.rows("alert_deliveries", delivery_rows(noted))
        notices = [notice(one.alert, one.delivery.message_id, now_us) for one in due]
        return [f"{one.title}; {dict(one.facts)['What']}" for one in notices if "runaway" in one.title]


PAGE = "[page] web: spend runaway, $130 in an hour, usually $7.27; web spent $130 on AI in an hour, where a busy one costs $7.27"


@pytest.mark.parametrize(
    ("rules", "over"),
    [
        (
            "[spend_runaway]\nfloor_usd = 500",
            "[resolved] web: spend runaway is over after 6 h 30 min; web: spend runaway is over, back to usual since 2026-01-27 08:05 UTC",
        ),
        (
            "[spend_runaway]\nenabled = false",
            "[resolved] web: spend runaway is over after 2 h; web: the rule spend_runaway is switched off",
        ),
    ],
)
def test_a_worker_with_other_rules_goes_on_with_what_is_open(
    migrated: Client, tmp_path: Path, rules: str, over: str
) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text("")
    store_windows(migrated, windows())
    first_us = BEGIN_US - BEGIN_US % HOUR_US - 2 * HOUR_US
    Sink(ClickHouseInserts(migrated), "test").rows(
        "alert_checkpoints", alert_checkpoint_row(0, 0, first_us + LATENESS_US, 1)
    )
    assert Worker(migrated, file).judge(first_us, CHANGE_US - CHANGE_US % HOUR_US) == [PAGE]
    file.write_text(rules)
    assert Worker(migrated, file).judge(CHANGE_US - CHANGE_US % HOUR_US, BEGIN_US + 10 * HOUR_US) == [over]
    [stored] = [alert for alert in _alerts(migrated) if alert.rule == "spend_runaway"]
    assert (stored.started_at, stored.state) == (BEGIN_US, "resolved")


def _alerts(client: Client) -> list[Alert]:
    return load_told(ClickHouseStored(client), {0}, 1, END_US)


def test_a_wrong_file_stops_the_agent_before_it_reads_anything(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    context: Any = SimpleNamespace(settings=Settings(alert_rules=str(file)))
    with pytest.raises(ConfigError, match=f"alert rules: {file}: No such file"):
        AlertAgent(context)
    file.write_text("[spend_runaway]\nfloor_usd = 0\n")
    with pytest.raises(ConfigError, match=f"{file}:2: spend_runaway: floor_usd is not an amount above 0"):
        AlertAgent(context)


def test_the_engine_knows_the_holidays_of_the_channels_file(migrated: Client, tmp_path: Path) -> None:
    file = tmp_path / "channels.toml"
    file.write_text('channel = []\n[[calendar]]\nteams = ["web"]\nholidays = ["2026-01-27"]\n')
    settings = Settings(channels=str(file))
    context: Any = SimpleNamespace(settings=settings, stored=ClickHouseStored(migrated), partitions=1)
    noon = datetime(2026, 1, 27, 12, tzinfo=UTC)
    engine = AlertAgent(context)._load(0, 0)[0].engine
    off = {team: engine._off(("acme", team), int(noon.timestamp()) * 1_000_000) for team in ("web", "ops")}
    assert off == {"web": True, "ops": False}
    assert known_calendars(settings) == load_calendars(file)
