"""The life of an alert that a probe began."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.detect.alert import Alert, alert_rows, alerts_from_rows
from streams.detect.policy import shipped_probes
from streams.detect.probes import MINUTE_US, Finding, Probe, judged
from tests.detect.made import T0

BY_NAME = {probe.name: probe for probe in shipped_probes()}
LATE = BY_NAME["results_late"]
FOUND = Finding("", "", 25_000, 0, 15_000, 0, 2, 4, [])


def run(probe: Probe, answers: str, finding: Finding = FOUND) -> list[tuple[int, Alert]]:
    """Ask once an interval: '#' something is wrong, '.' nothing is. Changes with the number of the question."""
    current: dict[str, Alert] = {}
    out = []
    for number, answer in enumerate(answers):
        now_us = T0 + number * probe.every_us
        opened = [alert for alert in current.values() if alert.open]
        for change in judged(probe, opened, [finding] if answer == "#" else [], now_us):
            current[change.fingerprint] = change
            out.append((number, change))
    return out


def states(probe: Probe, answers: str) -> list[tuple[int, str]]:
    return [(number, alert.state) for number, alert in run(probe, answers)]


def test_it_fires_when_it_was_true_for_long_enough_and_resolves_when_it_is_over_for_long_enough() -> None:
    told = run(LATE, "." + "#" * 20 + "." * 8)
    assert [(number, alert.state) for number, alert in told] == [
        (1, "pending"), (16, "firing"), (21, "firing"), (26, "resolved"),
    ]  # fmt: skip
    fired = told[1][1]
    assert fired.deliver
    assert fired.started_at == T0 + MINUTE_US
    assert "25 min behind" in fired.summary
    assert told[-1][1].resolved_at == T0 + 26 * MINUTE_US
    assert told[-1][1].fingerprint == fired.fingerprint
    assert not told[-1][1].accepted


def test_what_goes_away_before_it_fires_is_told_to_nobody() -> None:
    told = run(LATE, "##...")
    assert [(number, alert.state) for number, alert in told] == [(0, "pending"), (2, "inactive")]
    assert not any(alert.deliver for _, alert in told)


def test_a_short_recovery_is_no_second_alert() -> None:
    assert states(LATE, "#" * 17 + ".." + "#" * 5) == [(0, "pending"), (15, "firing"), (17, "firing"), (19, "firing")]


def test_a_probe_without_a_wait_fires_at_once() -> None:
    assert states(BY_NAME["dead_letters"], ".##") == [(1, "firing")]


def test_a_second_answer_of_the_same_moment_changes_nothing() -> None:
    [(_, begun)] = run(BY_NAME["dead_letters"], "#")
    assert judged(BY_NAME["dead_letters"], [begun], [], begun.window_end) == []
    assert (
        judged(BY_NAME["dead_letters"], [replace(begun, window_end=begun.window_end + 1)], [], begun.window_end) == []
    )


@pytest.mark.parametrize("probe", shipped_probes(), ids=lambda probe: probe.name)
def test_each_says_what_is_wrong_and_survives_its_row(probe: Probe) -> None:
    found = Finding("acme", "search", 250, 100, 150, 90_000_000, 30, 120, ["a", "b", "c", "d"])
    told = run(probe, "#" * 20, found)
    fired = told[-1][1]
    assert fired.state == "firing"
    assert fired.labels["alertname"] == probe.name
    assert alerts_from_rows(alert_rows([fired])) == [fired]
    assert fired.summary.startswith("search ")
    assert any(figure in fired.summary for figure in ("30", "25 %", "$90.00"))
