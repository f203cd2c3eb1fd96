"""Prometheus Alertmanager as Debian packs it, on a free port of loopback, with a receiver behind it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from streams.local.process import Child, reserve_port
from tests.deliver.servers import Receiver, Request, receiving

PACKAGE = "prometheus-alertmanager"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenworth" / PACKAGE
ROUTES = """
route: {{receiver: ours, group_by: [{by}], group_wait: 1s, group_interval: 1s}}
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
        """What fires."""
        return self._ask("alerts")

    def groups(self) -> list[dict[str, Any]]:
        """The same in the groups of the route."""
        return self._ask("alerts/groups")

    def _ask(self, what: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/{what}", timeout=5) as answer:
            return list(json.load(answer))

    def told(self, status: str) -> list[Request]:
        """What its receiver was sent with this status."""
        return [request for request in list(self.receiver.requests) if request.json["status"] == status]


@contextmanager
def running_alertmanager(folder: Path, *group_by: str) -> Iterator[Running]:
    """Run one with its files in `folder`, which groups by these labels. Skips the test where there is none to run."""
    if not program():
        pytest.skip(f"{PACKAGE} is not installed, and apt cannot fetch it")
    with receiving() as receiver:
        (folder / "routes.yml").write_text(ROUTES.format(url=receiver.url, by=", ".join(group_by)))
        port = reserve_port("alertmanager")
        argv = [*program(), f"--config.file={folder}/routes.yml", f"--storage.path={folder}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        child = Child("alertmanager", argv, folder / "alertmanager.log")
        found = Running(f"http://127.0.0.1:{port}", receiver)
        try:
            child.wait_until(lambda: _answers(found))
            yield found
        finally:
            child.stop()


def _answers(found: Running) -> bool:
    try:
        return found.alerts() == []
    except OSError:
        return False


def wait(ready: Callable[[], object], what: str) -> None:
    """Block until `ready()`; fails after a minute."""
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < 60, f"not after 60 s: {what}"
        time.sleep(0.1)
