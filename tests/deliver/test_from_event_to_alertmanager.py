"""Usage events in, a real worker process, and a real Alertmanager that groups what fires, tells its receiver, and resolves it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish.publishers import UsagePublisher, WorkItemPublisher
from tests.agents.watched import worker
from tests.deliver.alertmanagers import Running, running_alertmanager, wait
from tests.deliver.formats import webhook
from tests.e2e.system import System, running_system
from tests.faults.cluster import CLOCK

CHANNELS = """
[[channel]]
name = "alertmanager"
kind = "alertmanager"
url = "{url}"
allow_private = true
"""
BEHIND_S = 3000
"""The worker's clock is fifty minutes slow at first: so what it says of the present is over when its clock is set right."""
QUIET, BURNING = 100_000, 40_000_000
"""Tokens of a request: $0.50 and $200."""
TEAMS = (("acme", "search"), ("acme", "ads"), ("acme", "web"), ("other", "search"))
RUN_AWAY = {("acme", "search"), ("acme", "ads"), ("other", "search")}
GROUPS = {("acme", "spend_runaway"): {"ads", "search"}, ("other", "spend_runaway"): {"search"}}


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("tansu"), "tansu", partitions=2, allowed_lateness_s=0) as found:
        yield found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Running]:
    with running_alertmanager(tmp_path, "tenant", "alertname") as found:
        yield found


def usage(tenant: str, team: str, at: datetime, tokens: int = QUIET) -> UsageEvent:
    return UsageEvent(
        event_id=f"{team}-{at.isoformat()}-{tokens}",
        occurred_at=at,
        tenant=tenant,
        source="gateway",
        team=team,
        tool="cli",
        provider="anthropic",
        model="claude-opus-5",
        work_item_id=f"{team}-1",
        input_tokens=tokens,
    )


def as_usual(begin: datetime, end: datetime) -> Iterable[UsageEvent]:
    """A request every twenty minutes of each team."""
    steps = int((end - begin) / timedelta(minutes=20))
    for tenant, team in TEAMS:
        yield from (usage(tenant, team, begin + timedelta(minutes=20 * step)) for step in range(steps))


def publish(system: System, events: Iterable[UsageEvent]) -> None:
    with UsagePublisher(system.settings) as publisher:
        publisher.publish_many(events)


def test_it_fires_is_grouped_and_is_over(system: System, manager: Running, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(seconds=BEHIND_S)
    with WorkItemPublisher(system.settings) as items:
        for tenant, team in TEAMS:
            items.publish(
                WorkItemEvent(event_id=team, occurred_at=now, tenant=tenant, work_item_id=f"{team}-1", kind="started")
            )
    publish(system, as_usual(now - timedelta(days=20), now))
    publish(system, [usage(*who, now - timedelta(minutes=55 - n), BURNING) for who in RUN_AWAY for n in range(3)])
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("d", -BEHIND_S))
    (tmp_path / "channels.toml").write_text(CHANNELS.format(url=manager.url))
    env = {
        "TOKENWORTH_CHANNELS": str(tmp_path / "channels.toml"),
        "TOKENWORTH_ALLOWED_LATENESS_S": "0",
        "TEST_CLOCK": str(clock),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(CLOCK), os.environ.get("PYTHONPATH")))),
    }
    with worker(system, "worker", **env) as found:
        wait(lambda: len(manager.alerts()) == len(RUN_AWAY), "the alerts of three teams fire")
        assert {alert["status"]["state"] for alert in manager.alerts()} <= {"active", "unprocessed"}
        wait(lambda: grouped(manager) == GROUPS, "they are in the groups of its route")
        wait(lambda: told(manager, "firing") == RUN_AWAY, "its receiver is told that they fire")

        publish(system, as_usual(now, now + timedelta(seconds=BEHIND_S)))
        with clock.open("r+b") as file:
            file.write(struct.pack("d", 0.0))
        wait(lambda: told(manager, "resolved") == RUN_AWAY, "its receiver is told that they are over")
        wait(lambda: manager.alerts() == [], "none is left")
        assert found.stop() < 10
    for request in manager.receiver.requests:
        assert all(
            alert["annotations"]["summary"].startswith(("[page] ", "[resolved] ")) for alert in request.json["alerts"]
        )
    for status in ("firing", "resolved"):
        webhook(manager.told(status)[-1], status)


def grouped(manager: Running) -> dict[tuple[str, str], set[str]]:
    """Teams by the labels of the groups that the API shows."""
    found: dict[tuple[str, str], set[str]] = {}
    for group in manager.groups():
        labels: dict[str, Any] = group["labels"]
        found[labels["tenant"], labels["alertname"]] = {alert["labels"]["team"] for alert in group["alerts"]}
    return found


def told(manager: Running, status: str) -> set[tuple[str, str]]:
    """(tenant, team) of the alerts that the receiver was sent with this status."""
    return {
        (alert["labels"]["tenant"], alert["labels"]["team"])
        for request in list(manager.receiver.requests)
        for alert in request.json["alerts"]
        if alert["status"] == status
    }
