"""The alert engine: final windows in, changes of alerts out. Its state is a function of the windows and the watermark that it was given."""

from __future__ import annotations

from collections import defaultdict

import polars as pl

from streams.detect.alert import Alert, alerts_from_rows
from streams.detect.history import KEPT_US, History, Span
from streams.detect.observed import NOTHING, SLIDE_US, Group, Observed, Row, final_rows
from streams.detect.policy import AlertPolicy
from streams.detect.rules import AlertRule, alert_rules
from streams.windows.measures import DAY_US


class _Arriving:
    """A window whose end is not evaluated yet: its rows complete each other."""

    __slots__ = ("backfill", "values")

    def __init__(self) -> None:
        self.values = list(NOTHING)
        self.backfill = False


class AlertEngine:
    """Judges the windows of the tenants of one partition of `value-windows`.

    Every team is judged at every final end of a rule's family. A window that is not there is empty, and an empty window begins no alert,
    so only teams with a window or an open alert need a look. A late revision of a window that was judged already corrects the baselines
    but not the judgement: it neither fires nor resolves anything.

    Memory: windows that wait for their watermark, sampled windows of the last KEPT_US, open alerts (at most one for a rule and team), and
    the spans of those resolved within KEPT_US.
    """

    def __init__(self, policy: AlertPolicy, allowed_lateness_us: int = 600_000_000) -> None:
        self.rules = alert_rules(policy)
        self.watermark_us = 0
        self._lateness_us = allowed_lateness_us
        self._history = History()
        self._arriving: dict[str, dict[int, dict[Group, _Arriving]]] = {
            size: defaultdict(lambda: defaultdict(_Arriving)) for size in SLIDE_US
        }
        self._open: dict[tuple[str, Group], Alert] = {}
        self._episodes: dict[tuple[str, Group], list[Span]] = defaultdict(list)

    def load(self, alerts: pl.DataFrame, watermark_us: int) -> None:
        """Take up where the engine that wrote `alerts` stood at `watermark_us`. Call before `load_history`.

        `alerts`: rows of table alerts, read with FINAL, that are open or were closed less than KEPT_US before the watermark. They may be
        ahead of it when their writer stopped before it could note how far it was: the changes of a call are written at once, so everything
        up to the last of them has been judged.
        """
        loaded = sorted(alerts_from_rows(alerts), key=lambda alert: alert.started_at)
        self.watermark_us = max(watermark_us, *(alert.window_end + self._lateness_us for alert in loaded), 0)
        for alert in loaded:
            self._remember(alert)

    def load_history(self, windows: pl.DataFrame) -> None:
        """Rows of value_windows, read with FINAL, with ends from KEPT_US before the watermark on; later ones than it do no harm."""
        for row in final_rows(windows):
            self._take(row)

    def on_windows(self, windows: pl.DataFrame, watermark_us: int) -> list[Alert]:
        """Take rows of value_windows in, judge every end that is final at the watermark, and return the alerts that changed, in order.

        The caller passes a watermark only with or after the last window that is final by it. Repeated and older rows and watermarks do no
        harm. Each alert of the result is its new state; at most one for an alert and window end.
        """
        self.load_history(windows)
        if watermark_us <= self.watermark_us:
            return []
        begin, self.watermark_us = self.watermark_us, watermark_us
        changes = [
            change
            for size in SLIDE_US
            for change in self._judge_ends(size, begin - self._lateness_us, watermark_us - self._lateness_us)
        ]
        if begin // DAY_US != watermark_us // DAY_US:
            self._forget()
        order = {rule.name: number for number, rule in enumerate(self.rules)}
        return sorted(changes, key=lambda alert: (alert.window_end, order[alert.rule], alert.group))

    @property
    def windows_kept(self) -> int:
        """Windows in memory."""
        waiting = sum(len(groups) for ends in self._arriving.values() for groups in ends.values())
        return waiting + len(self._history)

    @property
    def open_alerts(self) -> list[Alert]:
        return list(self._open.values())

    def _take(self, row: Row) -> None:
        judged_us = self.watermark_us - self._lateness_us
        if row.end_us <= judged_us - KEPT_US:
            return  # a revision of what no baseline reads any more
        if row.end_us <= judged_us:
            self._history.put(row)
            return
        window = self._arriving[row.size][row.end_us][row.group]
        window.backfill = row.backfill
        for position, figure in row.values:
            window.values[position] = figure

    def _judge_ends(self, size: str, after_us: int, upto_us: int) -> list[Alert]:
        arriving, slide = self._arriving[size], SLIDE_US[size]
        rules = [rule for rule in self.rules if rule.size == size]
        ends = sorted((end for end in arriving if end <= upto_us), reverse=True)
        changes: list[Alert] = []
        while True:
            with_alert = {group for rule in rules for name, group in self._open if name == rule.name}
            candidates = [ends[-1]] if ends else []
            if with_alert:
                candidates.append((after_us // slide + 1) * slide)
            if not candidates or (end := min(candidates)) > upto_us:
                return changes
            if ends and ends[-1] == end:
                ends.pop()
            windows = arriving.pop(end, {})
            for group in sorted(with_alert.union(windows)):
                window = windows.get(group)
                now = Observed._make(window.values) if window else Observed()
                for rule in rules:
                    change = self._judge(rule, group, end, now, live=window is not None and not window.backfill)
                    if change is not None:
                        self._remember(change)
                        changes.append(change)
                if window is not None:
                    self._history.put(Row(size, end, group, window.backfill, tuple(enumerate(window.values))))
            after_us = end

    def _judge(self, rule: AlertRule, group: Group, end_us: int, now: Observed, *, live: bool) -> Alert | None:
        alert = self._open.get((rule.name, group))
        if alert is not None:
            return alert.seen(rule, end_us, now, live=live)
        if not rule.worth(now):
            return None
        than = rule.usual(
            list(self._history.before(rule.size, group, end_us)), self._episodes.get((rule.name, group), ())
        )
        if than is None or not rule.active(now, than):
            return None
        return Alert.begin(rule, group, end_us, now, than)

    def _remember(self, alert: Alert) -> None:
        key = (alert.rule, alert.group)
        if alert.open:
            self._open[key] = alert
            return
        self._open.pop(key, None)
        if alert.state == "resolved" and not alert.accepted:
            self._episodes[key].append((alert.started_at, alert.resolved_at))

    def _forget(self) -> None:
        now_us = self.watermark_us - self._lateness_us
        self._history.forget(now_us)
        for key in list(self._episodes):
            self._episodes[key] = [span for span in self._episodes[key] if span[1] > now_us - KEPT_US]
            if not self._episodes[key]:
                del self._episodes[key]
