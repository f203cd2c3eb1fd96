"""What ClickHouse says about an alert: where its money went, against the same stretch of other weeks, and its figure before and in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import structlog

from streams.deliver import reasons
from streams.deliver.notice import Chart
from streams.deliver.reasons import UNEXPLAINED, Explained, Reason, Stretch, Usage
from streams.detect.alert import Alert
from streams.detect.observed import NOTHING, SIZE_US, Observed, final_rows
from streams.detect.policy import shipped_rules
from streams.detect.probes import NAMES as PROBES
from streams.store.reading import Stored
from streams.windows.measures import DAY_US, HOUR_US

log = structlog.get_logger(__name__)

CHARTED: Final = 24
"""Windows of the chart in a message: hours of hourly windows, days of longer ones."""
WEEK_US: Final = 7 * DAY_US
WEEKS: Final = 4
Answer = TypeVar("Answer")
_RULES: Final = {rule.name: rule for rule in shipped_rules()}


def explain(stored: Stored, alert: Alert) -> Explained:
    """What is known of the window that fired; what cannot be found out is left out. Asks at most three questions, each bounded. Blocking."""
    if alert.rule in PROBES:
        return UNEXPLAINED
    found, begin_with = list[Reason](), ""
    if alert.rule == "feed_silent":
        found = _asked(_silence, stored, alert) or []
    elif alert.rule == "low_value_share":
        found = _asked(_low_value, stored, alert) or []
    elif alert.rule != "completion_surge":  # in which usage has no part
        found, begin_with = _asked(_usage, stored, alert) or ([], "")
        if alert.rule == "spend_up_core_flat":
            found = reasons.ranked([*found, *(_asked(_in_flight, stored, alert) or [])])
    return Explained(tuple(found), begin_with, _asked(_chart, stored, alert))


def _asked(question: Callable[[Stored, Alert], Answer], stored: Stored, alert: Alert) -> Answer | None:
    """None where the question fails: a page with less in it is better than none."""
    try:
        return question(stored, alert)
    except Exception as error:  # noqa: BLE001 - whatever it is, the notice goes out
        log.warning(
            "an alert is told with less", question=question.__name__, rule=alert.rule, error=type(error).__name__
        )
        return None


def _usage(stored: Stored, alert: Alert) -> tuple[list[Reason], str]:
    now, usual = load_lines(stored, alert)
    return reasons.of_usage(alert, now, usual) if usual is not None else ([], "")


def load_lines(stored: Stored, alert: Alert) -> tuple[Stretch, Stretch | None]:
    """Usage by (tool, model) of the window that fired, and what is usual at such times: of the same stretch of the four weeks before, without
    the dearest and the cheapest, the mean. None of a team that is younger than that window and a week."""
    until, length, step = alert.fired_at, _length_us(alert), max(WEEK_US, _length_us(alert))
    since = max(until - length - WEEKS * WEEK_US, 0)
    rows = stored.read(
        "alerts/lines", tenant=alert.tenant, team=alert.team, since=since, until=until, step=step, length=length
    )
    stretches: dict[int, dict[tuple[str, str], Usage]] = defaultdict(dict)
    for tool, model, steps_before, *measures, _ in rows.iter_rows():
        stretches[steps_before][tool, model] = Usage(*measures)
    first_used = rows["first_used"].max() if len(rows) else until
    assert isinstance(first_used, int)
    whole = [n for n in range(1, WEEKS * WEEK_US // step + 1) if until - length - n * step >= first_used - HOUR_US]
    return stretches[0], _mean([stretches[n] for n in whole]) if whole else None


def _mean(stretches: Sequence[Stretch]) -> Stretch:
    by_cost = sorted(stretches, key=lambda stretch: sum(usage.cost for usage in stretch.values()))
    kept = by_cost[1:-1] if len(by_cost) > 2 else by_cost
    lines = {line for stretch in kept for line in stretch}
    sums = {line: zip(*(stretch.get(line, Usage()) for stretch in kept), strict=True) for line in lines}
    return {line: Usage(*(sum(figures) // len(kept) for figures in columns)) for line, columns in sums.items()}


def _in_flight(stored: Stored, alert: Alert) -> list[Reason]:
    until_s, length_s = alert.fired_at // 1_000_000, _length_us(alert) // 1_000_000
    rows = stored.read(
        "alerts/in_flight", tenant=alert.tenant, team=alert.team, since_s=until_s - length_s, until_s=until_s
    )
    items, cost = rows.row(0)
    return reasons.in_flight(items, cost or 0, alert.spend_micro_usd)


def _low_value(stored: Stored, alert: Alert) -> list[Reason]:
    since = alert.fired_at - _length_us(alert)
    rows = stored.read("alerts/low_value", tenant=alert.tenant, team=alert.team, since=since, until=alert.fired_at)
    return reasons.low_value(rows.rows())


def _silence(stored: Stored, alert: Alert) -> list[Reason]:
    teams, silent = stored.read("alerts/silent", tenant=alert.tenant, until_s=alert.fired_at // 1_000_000).row(0)
    return reasons.silence(teams, silent)


def _chart(stored: Stored, alert: Alert) -> Chart | None:
    step_us = HOUR_US if alert.size == "1h" else DAY_US
    rows = stored.read(
        "alerts/figures",
        tenant=alert.tenant,
        team=alert.team,
        size=alert.size,
        until_s=alert.fired_at // 1_000_000,
        step_s=step_us // 1_000_000,
        count=CHARTED,
    )
    windows: dict[int, list[int]] = {}
    for row in final_rows(rows):
        window = windows.setdefault(row.end_us, list(NOTHING))
        for position, figure in row.values:
            window[position] = figure
    if not windows:
        return None
    first = alert.fired_at - (CHARTED - 1) * step_us
    if alert.size != "1h":
        first = max(first, min(windows))  # a team that is judged is two weeks old, perhaps not 24 days
    ends = range(first, alert.fired_at + 1, step_us)
    figures = [max(_figure(alert, Observed._make(windows.get(end, NOTHING))), 0) for end in ends]
    begun = sum(end < alert.started_at for end in ends)
    unit = "hours" if alert.size == "1h" else "days"
    of = "7-day " if alert.size == "7d" else ""
    what = f"{of}{_WHAT.get(alert.rule, 'AI spend')}, last {len(figures)} {unit}"
    return Chart(what, tuple(figures), begun, alert.threshold)


_WHAT: Final = {
    "spend_up_core_flat": "AI spend without enabling work",
    "low_value_share": "low-value share",
    "unattributed_surge": "share without work items",
    "repeated_prompts": "share of repeated prompts",
    "feed_silent": "requests an hour",
    "completion_surge": "items completed an hour",
}


def _figure(alert: Alert, window: Observed) -> int:
    """What the rule judges; AI spend for a rule that is not known here."""
    rule = _RULES.get(alert.rule)
    return (rule.figure(window) or 0) if rule else window.spend


def _length_us(alert: Alert) -> int:
    return SIZE_US.get(alert.size, DAY_US)
