"""Look-ups for a notice never stop it, and never hold it up for long."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

from streams.agents.explaining import KEPT, Explainer
from streams.deliver.reasons import UNEXPLAINED, Explained
from streams.detect.alert import Alert
from tests.deliver.made import EXPLAINED, alert


async def test_it_is_looked_up_once_for_all_channels() -> None:
    asked: list[Alert] = []

    def look_up(of: Alert) -> Explained:
        asked.append(of)
        return EXPLAINED

    explainer = Explainer(look_up)
    assert [await explainer.of(alert()) for _ in range(3)] == [EXPLAINED] * 3
    assert asked == [alert()]
    for number in range(KEPT + 9):
        await explainer.of(alert(team=f"team{number}"))
    assert len(asked) == KEPT + 10
    await explainer.of(alert())
    assert len(asked) == KEPT + 11  # the oldest is forgotten


async def test_a_failure_is_no_answer_and_is_asked_again() -> None:
    fails = [True]

    def look_up(_: Alert) -> Explained:
        if fails:
            fails.pop()
            raise RuntimeError
        return EXPLAINED

    explainer = Explainer(look_up)
    assert await explainer.of(alert()) == UNEXPLAINED
    assert await explainer.of(alert()) == EXPLAINED


async def test_a_late_answer_holds_up_one_notice_only() -> None:
    goes_on = threading.Event()

    def look_up(_: Alert) -> Explained:
        goes_on.wait()
        return EXPLAINED

    explainer, began = Explainer(look_up, deadline_s=0.2), time.monotonic()
    for number in range(20):
        assert await explainer.of(replace(alert(), team=f"team{number}")) == UNEXPLAINED
    assert time.monotonic() - began < 3.0  # not 20 times 0.2 s
    goes_on.set()
    while await explainer.of(alert()) == UNEXPLAINED:
        assert time.monotonic() - began < 30.0
        await asyncio.sleep(0.01)
