"""A real Alertmanager takes our alerts, groups them, tells its receivers of their end, and speaks the webhook form that ours speaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from streams.deliver.channel import Delivered
from streams.deliver.messages import notice
from streams.local.process import Child, reserve_port
from tests.deliver.formats import webhook
from tests.deliver.made import alert, channel
from tests.deliver.servers import Receiver, Request, receiving

PACKAGE = "prometheus-alertmanager"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenworth" / PACKAGE
ROUTES = """
route: {{receiver: ours, group_by: [alertname], group_wait: 1s, group_interval: 1s}}
receivers: [{{name: ours, webhook_configs: [{{url: "{url}/from", send_resolved: true}}]}}]
"""


SHARED = (b"/usr/share/prometheus/alertmanager", b"usr/share/prometheus//alertmanager")
"""Debian's build looks for its templates at an absolute path. The unpacked copy gets one of equal length below its own folder."""


@cache
def program() -> tuple[str, ...]:
    """How to start Alertmanager as Debian packs it: installed, or fetched once by apt and unpacked into the cache. () where neither can be."""
    kept = KEPT / "usr/bin" / PACKAGE
    if installed := shutil.which(PACKAGE):
        return (installed,)
    if not kept.exists() and shutil.which("apt-get") and shutil.which("dpkg"):
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=KEPT.parent) as folder:
            _fetch(Path(folder))
    return ("env", "-C", str(KEPT), str(kept)) if kept.exists() else ()


def _fetch(folder: Path) -> None:
    """Into the cache as a whole, or not at all."""
    subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=False, capture_output=True, timeout=300)
    for package in folder.glob("*.deb"):
        subprocess.run(
            ["dpkg", "-x", package.name, "unpacked"], cwd=folder, check=True, capture_output=True, timeout=120
        )
        binary = folder / "unpacked/usr/bin" / PACKAGE
        binary.write_bytes(binary.read_bytes().replace(*SHARED))
        with suppress(OSError):  # somebody else was faster
            (folder / "unpacked").rename(KEPT)


class Running:
    """An Alertmanager that tells a receiver of what it has."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.url, self.receiver = url, receiver

    def alerts(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return list(json.load(answer))

    def told(self, status: str) -> list[Request]:
        return [request for request in list(self.receiver.requests) if request.json["status"] == status]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    if not program():
        pytest.skip(f"{PACKAGE} is not installed, and apt cannot fetch it")
    with receiving() as receiver:
        (tmp_path / "routes.yml").write_text(ROUTES.format(url=receiver.url))
        port = reserve_port("alertmanager")
        argv = [*program(), f"--config.file={tmp_path}/routes.yml", f"--storage.path={tmp_path}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        child = Child("alertmanager", argv, tmp_path / "alertmanager.log")
        found = Running(f"http://127.0.0.1:{port}", receiver)
        try:
            child.wait_until(lambda: answers(found))
            yield found
        finally:
            child.stop()


def answers(found: Running) -> bool:
    try:
        return found.alerts() == []
    except OSError:
        return False


def wait(ready: Callable[[], object], what: str) -> None:
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < 60, f"not after 60 s: {what}"
        time.sleep(0.1)


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
