"""The alert engine: final windows in, changes of alerts out. Its state is a function of the windows and the watermark that it was given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from streams.detect.alert import Alert, Feed, alerts_from_rows
from streams.detect.calendar import Calendar, calendar_of
from streams.detect.history import KEPT_US, STEP_US, Before, History, Span
from streams.detect.observed import NOTHING, SIZE_US, SLIDE_US, Group, Observed, Row, final_rows
from streams.detect.policy import AlertPolicy
from streams.detect.rule import AlertRule, Usual
from streams.detect.surge import CompletionSurge
from streams.windows.measures import DAY_US, HOUR_US


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

    A holiday of a team, if a calendar tells it, is no ordinary day: windows that touch it are no part of what is usual, no ticket begins on it or in
    the half day after, and silence is none.

    Memory: windows that wait for their watermark, sampled windows of the last KEPT_US, open alerts (at most one for a rule and team), and
    the spans of those resolved within KEPT_US.
    """

    def __init__(
        self, policy: AlertPolicy, allowed_lateness_us: int = 600_000_000, calendars: Sequence[Calendar] = ()
    ) -> None:
        self.rules = policy.rules
        self._policy = policy
        self._rules_of: dict[Group, Mapping[str, AlertRule]] = {}
        self._calendars = calendars
        self._days_off: dict[str, tuple[Span, ...]] = {}
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
        return sorted(changes, key=lambda alert: (alert.window_end, order.get(alert.rule, len(order)), alert.group))

    @property
    def windows_kept(self) -> int:
        """Windows in memory."""
        waiting = sum(len(groups) for ends in self._arriving.values() for groups in ends.values())
        return waiting + len(self._history)

    @property
    def open_alerts(self) -> list[Alert]:
        return list(self._open.values())

    def usual_now(self, group: Group) -> list[tuple[AlertRule, Observed, Usual | None]]:
        """Each rule that is on for a team, the last window of its size that the history keeps, and what is usual for that one, if it can be told."""
        found = []
        now_us = self.watermark_us - self._lateness_us
        for rule in self._rules(group).values():
            end_us = now_us // STEP_US[rule.size] * STEP_US[rule.size]
            now = self._history.at(rule.size, group, end_us)
            before = self._before(rule.size, group, end_us)
            if rule.enabled:
                without = self._left_out(rule, group)
                now = rule.look(before.calm(now), before, without)
                found.append((rule, now, rule.outlook(now, before, without)))
        return found

    def knows_usual(self, group: Group) -> bool:
        """Whether the team has enough usage behind it to be judged; until then it is only observed."""
        return bool(Before(self._history, "1h", group, self.watermark_us - self._lateness_us).windows)

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
            with_alert = {alert.group for alert in self._open.values() if alert.size == size}
            candidates = [ends[-1]] if ends else []
            if with_alert:
                candidates.append((after_us // slide + 1) * slide)
            if not candidates or (end := min(candidates)) > upto_us:
                return changes
            if ends and ends[-1] == end:
                ends.pop()
            changes += self._ended_with_rules(size, end)
            windows = arriving.pop(end, {})
            live = any(not window.backfill for window in windows.values())
            absent = self._absent(rules, end) if windows else ()
            for group in sorted(with_alert.union(windows, absent)):
                window = windows.get(group)
                before = self._before(size, group, end)
                now = before.calm(Observed._make(window.values) if window else NOTHING)
                of_group = self._rules(group)
                for rule in (of_group[rule.name] for rule in rules):
                    if window is None and not rule.absence_us and (rule.name, group) not in self._open:
                        continue
                    change = self._judge(rule, before, now, live=live and not (window and window.backfill))
                    if change is not None:
                        self._remember(change)
                        changes.append(change)
                if window is not None:
                    self._history.put(Row(size, end, group, window.backfill, tuple(enumerate(window.values))))
            after_us = end

    def _absent(self, rules: Sequence[AlertRule], end_us: int) -> Iterator[Group]:
        """Teams for whom a window that ends then may begin an alert by not being there."""
        names = [rule.name for rule in rules if rule.absence_us]
        for group, latest in self._history.recent.latest() if names else ():
            if any(end_us - latest <= self._rules(group)[name].absence_us for name in names):
                yield group

    def _rules(self, group: Group) -> Mapping[str, AlertRule]:
        if group not in self._rules_of:
            self._rules_of[group] = self._policy.rules_of(group)
        return self._rules_of[group]

    def _ended_with_rules(self, size: str, end_us: int) -> list[Alert]:
        """Ends the alerts of windows of this size whose rule is off for their team by now, or gone."""
        ended = []
        for alert in [alert for alert in self._open.values() if alert.size == size]:
            rule = self._rules(alert.group).get(alert.rule)
            if rule is None or not rule.enabled:
                ended.append(alert.end_with_rule(end_us, "no longer exists" if rule is None else "is switched off"))
                self._remember(ended[-1])
        return ended

    def _judge(self, rule: AlertRule, before: Before, now: Observed, *, live: bool) -> Alert | None:
        group, end_us = before.group, before.end_us
        alert = self._open.get((rule.name, group))
        if rule.joins and self._fired(rule.joins, group, end_us - SIZE_US[rule.size], end_us):
            if alert is None:
                return None
            if alert.state == "pending":
                return alert.withdrawn(end_us)
        without = self._left_out(rule, group)
        if rule.looks:
            before.paged = self._fired("spend_runaway", group, end_us - 2 * DAY_US, end_us)
            since_us = alert.started_at if alert else end_us
            now = rule.look(now, before, [*without, (since_us, end_us)])
        if alert is not None:
            return alert.seen(rule, end_us, now, live=live, feed=self._feed(rule.size, group, end_us, now))
        if not rule.enabled or not rule.worth(now) or self._rests(rule, group, end_us):
            return None
        than = rule.usual(now, before, without)
        if than is None or not rule.active(now, than):
            return None
        alert = Alert.begin(rule, group, end_us, now, than)
        return alert if rule.hold_us else alert.firing(rule, now, live=live)

    def _before(self, size: str, group: Group, end_us: int) -> Before:
        return Before(self._history, size, group, end_us, self._surges(group, end_us))

    def _surges(self, group: Group, end_us: int) -> set[int]:
        """Ends, up to then, of the full hours that a surge of completions touches: from an hour before its first window to the end of its alert."""
        key = CompletionSurge.name, group
        told = list(self._episodes.get(key, ()))
        alert = self._open.get(key)
        if alert is not None and alert.fired_at:
            told.append((alert.started_at, end_us))
        return {
            hour
            for begin, last in told
            if begin <= end_us
            for hour in range(begin // HOUR_US * HOUR_US, min(last + HOUR_US, end_us + 1), HOUR_US)
        }

    def _feed(self, size: str, group: Group, end_us: int, now: Observed) -> Feed:
        """Whether usage comes: an hour without requests is missing if in each of the four weeks before there were some at this time."""
        at = self._history.at
        if self._off(group, end_us):
            return "there" if now.requests else "idle"
        if (now if size == "1h" else at("1h", group, end_us)).requests:
            return "there"
        hours = {end_us // HOUR_US * HOUR_US, -(-end_us // HOUR_US) * HOUR_US}
        weeks = (at("1h", group, hour - 7 * week * DAY_US) for week in range(1, 5) for hour in hours)
        return "missing" if all(hour.requests for hour in weeks) else "idle"

    def _fired(self, name: str, group: Group, after_us: int, end_us: int) -> bool:
        """Whether an alert of a rule fired, or still did, within (after_us, end_us].

        Other families may have been judged beyond `end_us`: what happened there does not count yet.
        """
        hold_us = self._rules(group)[name].hold_us
        alert = self._open.get((name, group))
        if alert is not None and alert.fired_at and alert.fired_at <= end_us:
            return True
        told = self._episodes.get((name, group), ())
        return any(begin + hold_us <= end_us and last > after_us for begin, last in told)

    def _left_out(self, rule: AlertRule, group: Group) -> list[Span]:
        """Spans that are no part of what is usual: the rule's own episodes, and the windows that hold what any page told or touch a holiday."""
        out = list(self._episodes.get((rule.name, group), ()))
        out += [
            (begin + 1, end + SIZE_US[rule.size] - 1)
            for begin, end in self._holidays(group[1])
            if self.watermark_us - 2 * KEPT_US < end and begin < self.watermark_us
        ]
        for page in self.rules:
            if page.kind == "page" and page.name != rule.name:
                told = self._episodes.get((page.name, group), ())
                out += [(begin, last + SIZE_US[rule.size]) for begin, last in told]
        return out

    def _holidays(self, team: str) -> tuple[Span, ...]:
        if team not in self._days_off:
            calendar = calendar_of(self._calendars, team)
            self._days_off[team] = calendar.days_off() if calendar else ()
        return self._days_off[team]

    def _off(self, group: Group, end_us: int, rest_us: int = 0) -> bool:
        return any(begin < end_us <= end + rest_us for begin, end in self._holidays(group[1]))

    def _rests(self, rule: AlertRule, group: Group, end_us: int) -> bool:
        """Whether the rule begins nothing, because the window ends on a holiday of the team or, for a ticket, is half of one."""
        if rule.absence_us:
            return self._off(group, end_us)
        return rule.kind == "ticket" and self._off(group, end_us, DAY_US // 2)

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
