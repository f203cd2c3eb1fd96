"""A real Alertmanager takes our alerts, groups them, tells its receivers of their end, and speaks the webhook form that ours speaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.deliver.channel import Delivered
from streams.deliver.messages import notice
from tests.deliver.alertmanagers import Running, running_alertmanager, wait
from tests.deliver.formats import webhook
from tests.deliver.made import alert, channel


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_alertmanager(tmp_path, "alertname") as found:
        yield found


def test_it_groups_and_resolves_our_alerts(running: Running) -> None:
    now = int(time.time() * 1e6)
    manager = channel("alertmanager", running.url)
    times: dict[str, Any] = {
        "started_at": now - 900_000_000,
        "fired_at": now - 300_000_000,
        "window_end": now - 300_000_000,
    }
    fired = [alert(team=team, **times) for team in ("search", "ads", "")]
    for found in fired:
        for repeat in range(2):  # the refresh changes nothing
            assert manager.send(notice(found, "id", now + repeat)) == Delivered()
    wait(lambda: len(running.alerts()) == 3, "three alerts are active")
    assert {entry["status"]["state"] for entry in running.alerts()} <= {"active", "unprocessed"}
    assert {entry["labels"].get("team", "") for entry in running.alerts()} == {"search", "ads", ""}

    def together(status: str) -> Callable[[], object]:
        return lambda: [request for request in running.told(status) if len(request.json["alerts"]) == 3]

    wait(together("firing"), "one message tells of all three")
    for found in fired:
        over = alert("resolved", team=found.team, **{**times, "resolved_at": now - 1_000_000})
        assert manager.send(notice(over, "id", now)) == Delivered()
    wait(together("resolved"), "one message tells that all three are over")
    wait(lambda: running.alerts() == [], "none is left")


def test_our_webhook_has_the_form_of_its_own(running: Running) -> None:
    now = int(time.time() * 1e6)
    found = alert(started_at=now - 900_000_000, fired_at=now - 300_000_000)
    assert channel("alertmanager", running.url).send(notice(found, "id", now)) == Delivered()
    wait(lambda: running.told("firing"), "it tells its receiver")
    theirs = running.told("firing")[0]
    running.receiver.requests.clear()
    assert channel("webhook", f"{running.receiver.url}/from").send(notice(found, "id", now)) == Delivered()
    wait(lambda: [r for r in running.receiver.requests if r.json["receiver"] == "test"], "ours arrives")
    (ours,) = [request for request in running.receiver.requests if request.json["receiver"] == "test"]
    for request in (theirs, ours):
        webhook(request, "firing")
    assert ours.json.keys() == theirs.json.keys()
    assert ours.json["alerts"][0].keys() == theirs.json["alerts"][0].keys()
    for name in ("labels", "annotations", "startsAt", "endsAt"):
        assert ours.json["alerts"][0][name] == theirs.json["alerts"][0][name]
