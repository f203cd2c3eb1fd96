"""A real worker is killed while it sends: the next one sends again, under the same id, and later says that it is over."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.detect.alert import alert_rows
from streams.store.sink import ClickHouseInserts, Sink
from tests.agents.watched import worker
from tests.deliver.formats import SIGNING_KEY
from tests.deliver.made import alert
from tests.deliver.servers import receiving
from tests.e2e.system import System

CHANNELS = """
[[channel]]
name = "portal"
kind = "signed"
url = "{url}/in"
secret_env = "PORTAL_SECRET"
allow_private = true
timeout_s = 30
"""


def test_kill_9_while_a_notice_is_on_its_way(system: System, tmp_path: Path) -> None:
    now = int(time.time() * 1e6)
    begun = alert(started_at=now - 900_000_000, fired_at=now - 300_000_000, window_end=now - 300_000_000)
    ended = replace(begun, state="resolved", clear_since=now - 2, resolved_at=now - 1, window_end=now - 1)
    rows = Sink(ClickHouseInserts(system.client), "test").rows
    with receiving() as receiver:
        (tmp_path / "channels.toml").write_text(CHANNELS.format(url=receiver.url))
        env: dict[str, Any] = {
            "TOKENWORTH_AGENTS": "alerts",
            "TOKENWORTH_CHANNELS": str(tmp_path / "channels.toml"),
            "PORTAL_SECRET": SIGNING_KEY,
        }

        def arrived() -> list[str]:
            return [request.json["type"] for request in receiver.requests]

        receiver.delay_s = 20  # it is dead before it hears that the notice was taken
        rows("alerts", alert_rows([begun]))
        with worker(system, "killed", **env):
            system.wait(lambda: len(receiver.requests) == 1, "a notice is on its way")
        receiver.delay_s = 0
        with worker(system, "next", **env) as found:
            system.wait(lambda: len(receiver.requests) == 2, "it is sent again")
            rows("alerts", alert_rows([ended]))
            system.wait(lambda: "alert.resolved" in arrived(), "its end is told")
            found.wait_until_ready()
            assert found.stop() < 10
            assert SIGNING_KEY not in found.log()
    assert arrived() == ["alert.firing", "alert.firing", "alert.resolved"]
    first, again, over = (request.headers["webhook-id"] for request in receiver.requests)
    assert first == again != over
