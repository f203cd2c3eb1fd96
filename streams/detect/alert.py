"""The life of one alert: inactive -> pending -> firing -> resolved, with no_data between the last two; driven by window ends alone.

So a replay tells the same story.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Final, Literal

import polars as pl
import xxhash

from streams.detect.observed import SIZE_US, Group, Observed
from streams.detect.rule import AlertRule, Usual
from streams.detect.words import instant, moment
from streams.windows.measures import DAY_US

State = Literal["pending", "firing", "no_data", "resolved", "inactive"]

Feed = Literal["there", "idle", "missing"]
"""Of a team's usage: requests came in the last hour; none, as often at that time; none, where there always were some."""

ACCEPTED_AFTER_US: Final = 28 * DAY_US
"""An alert that lasts longer than a baseline reaches back has become the usual: it resolves, and its windows count from then on.
Without it, a level that is there to stay would be an alert for ever."""
_NEVER: Final = 1 << 62
"""What a probe finds never becomes the usual."""
_FIGURES: Final = (
    "unit",
    "value",
    "baseline",
    "threshold",
    "spend_micro_usd",
    "usual_spend_micro_usd",
    "core_value_milli",
    "usual_core_value_milli",
)
_TIMES: Final = ("started_at", "fired_at", "clear_since", "resolved_at", "window_end")


def fingerprint(labels: Mapping[str, str]) -> str:
    """Identity of what an alert is about: xxHash64 (hex) of its sorted labels."""
    return xxhash.xxh64_hexdigest(
        json.dumps(sorted(labels.items()), ensure_ascii=False, separators=(",", ":")).encode()
    )


@dataclass(frozen=True, slots=True)
class Alert:
    """One instance of an alert, as a row of table alerts: identity (fingerprint, started_at). Times in micro-seconds, 0 for none.

    Figures are those of the window that began it, then of the one that fired it; `usual` ones are frozen at its beginning, so an episode
    is judged against the time before it. `inactive` is a pending alert that went away before it fired, `no_data` one that fires and whose
    condition is false only because its team's usage has stopped coming.
    """

    rule: str
    tenant: str
    team: str
    kind: str
    size: str
    state: State
    started_at: int
    fired_at: int
    clear_since: int
    resolved_at: int
    window_end: int
    unit: str
    value: int
    baseline: int
    threshold: int
    spend_micro_usd: int
    usual_spend_micro_usd: int
    core_value_milli: int
    usual_core_value_milli: int
    deliver: bool
    summary: str

    @classmethod
    def begin(cls, rule: AlertRule, group: Group, end_us: int, now: Observed, than: Usual) -> Alert:
        """A pending alert whose condition became true in the window that ends at `end_us`."""
        pending = cls(
            rule=rule.name,
            tenant=group[0],
            team=group[1],
            kind=rule.kind,
            size=rule.size,
            state="pending",
            started_at=end_us,
            fired_at=0,
            clear_since=0,
            resolved_at=0,
            window_end=end_us,
            unit=rule.unit,
            value=0,
            baseline=than.baseline,
            threshold=than.threshold,
            spend_micro_usd=0,
            usual_spend_micro_usd=than.spend,
            core_value_milli=0,
            usual_core_value_milli=than.core_value_milli,
            deliver=False,
            summary="",
        )
        return _telling(pending, rule, now)

    def firing(self, rule: AlertRule, now: Observed, *, live: bool) -> Alert:
        """A pending alert as it fires in the window that ends where it began."""
        return _telling(replace(self, state="firing", fired_at=self.started_at, deliver=live), rule, now)

    @property
    def group(self) -> Group:
        return self.tenant, self.team

    @property
    def usual(self) -> Usual:
        return Usual(self.baseline, self.threshold, self.usual_spend_micro_usd, self.usual_core_value_milli)

    @property
    def open(self) -> bool:
        return self.state in ("pending", "firing", "no_data")

    @property
    def accepted(self) -> bool:
        """It lasted so long that its windows are the usual."""
        return bool(self.resolved_at) and self.resolved_at - self.started_at >= _accepted_after(self.size)

    @property
    def ended_with_rule(self) -> bool:
        """It was over while it was still true, because its rule was: the summary says why."""
        return self.state == "resolved" and not self.clear_since and not self.accepted

    @property
    def labels(self) -> dict[str, str]:
        return {
            "alertname": self.rule,
            "kind": self.kind,
            "team": self.team,
            "tenant": self.tenant,
            "window": self.size,
        }

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    def seen(self, rule: AlertRule, end_us: int, now: Observed, *, live: bool, feed: Feed = "there") -> Alert | None:
        """The alert after the window that ends at `end_us`, or None if that changed nothing.

        `live`: the window is no backfill; only what fires, or still burns, in a live window is delivered. `feed`: of the team's usage then.
        """
        if end_us - self.started_at >= _accepted_after(self.size):
            return replace(
                self, state="resolved" if self.fired_at else "inactive", resolved_at=end_us, window_end=end_us
            )
        active = rule.active(now, self.usual)
        if self.state == "pending":
            if not active:
                return self.withdrawn(end_us)
            if end_us - self.started_at >= rule.hold_us:
                return _telling(
                    replace(self, state="firing", fired_at=end_us, window_end=end_us, deliver=live), rule, now
                )
            return None
        if active:
            burning = replace(self, state="firing", clear_since=0, window_end=end_us)
            if live and not self.deliver:  # found in old windows, but it is still there now: somebody must hear of it
                return _telling(replace(burning, deliver=True), rule, now)
            return burning if self.clear_since or self.state == "no_data" else None
        if self.state == "no_data":
            return None if feed != "there" else replace(self, state="firing", clear_since=end_us, window_end=end_us)
        if feed == "missing":
            return replace(self, state="no_data", clear_since=0, window_end=end_us)
        if not self.clear_since:
            return replace(self, clear_since=end_us, window_end=end_us)
        if end_us - self.clear_since >= rule.keep_firing_us:
            return replace(self, state="resolved", resolved_at=end_us, window_end=end_us)
        return None

    def end_with_rule(self, end_us: int, why: str) -> Alert:
        """The alert as it ends because of its rule; `why` is said of the rule."""
        summary = f"{self.team or 'usage without a team'}: the rule {self.rule} {why}; it told: {self.summary}"
        state: State = "resolved" if self.fired_at else "inactive"
        return replace(self, state=state, clear_since=0, resolved_at=end_us, window_end=end_us, summary=summary)

    def withdrawn(self, end_us: int) -> Alert:
        """A pending alert that another one says as well."""
        return replace(self, state="inactive", resolved_at=end_us, window_end=end_us)

    def since(self, window_end_us: int) -> list[Alert]:
        """What there is to tell of an alert whose stored row may be all that is known of its changes after a window end: what it came to,
        and that it fired, if it did so after that window and has ended since."""
        if self.window_end <= window_end_us:
            return []
        if self.open or self.fired_at <= window_end_us:
            return [self]
        return [replace(self, state="firing", clear_since=0, resolved_at=0, window_end=self.fired_at), self]

    def message(self) -> bytes:
        """JSON for the topic `alerts`, whose key is the fingerprint: Alertmanager's names, then ours."""
        return json.dumps(
            {
                "fingerprint": self.fingerprint,
                "state": self.state,
                "labels": self.labels,
                "annotations": {"summary": self.summary},
                "startsAt": instant(self.started_at),
                "endsAt": instant(self.resolved_at) if self.resolved_at else "0001-01-01T00:00:00Z",
                "firedAt": instant(self.fired_at) if self.fired_at else None,
                "windowEnd": instant(self.window_end),
                "deliver": self.deliver,
                **{name: getattr(self, name) for name in _FIGURES},
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


def _telling(alert: Alert, rule: AlertRule, now: Observed) -> Alert:
    """The alert with the figures of this window, and a sentence that somebody who is woken by it understands."""
    who = alert.team or "usage without a team"
    look = f"tokenworth windows --team {alert.team} --size {alert.size}"
    summary = f"{who} {rule.says(now, alert.usual)}; so since {moment(alert.started_at)}: see `{look}`"
    figure = rule.figure(now) or 0
    return replace(
        alert, value=figure, spend_micro_usd=now.spend, core_value_milli=now.core_value_milli, summary=summary
    )


def _accepted_after(size: str) -> int:
    return ACCEPTED_AFTER_US + SIZE_US.get(size, _NEVER)


def alert_rows(alerts: Iterable[Alert]) -> pl.DataFrame:
    """Rows of table alerts: the fields of Alert, its fingerprint, and as version the window end that changed it: at most one a window."""
    rows = [{"fingerprint": alert.fingerprint, **asdict(alert), "version": alert.window_end} for alert in alerts]
    return pl.DataFrame(rows, schema=_SCHEMA).with_columns(
        pl.col(_TIMES).cast(pl.Datetime("us", "UTC")),
        pl.col("deliver").cast(pl.UInt8),
        pl.col("version").cast(pl.UInt64),
    )


def alerts_from_rows(frame: pl.DataFrame) -> list[Alert]:
    """Alerts from rows of table alerts, read with FINAL; times as Datetime or Int64 micro-seconds."""
    plain = frame.select(_NAMES).with_columns(
        pl.col(_TIMES).cast(pl.Datetime("us", "UTC")).cast(pl.Int64), pl.col("deliver").cast(pl.Boolean)
    )
    return [Alert(**row) for row in plain.iter_rows(named=True)]


_NAMES: Final = tuple(entry.name for entry in fields(Alert))
_TEXTS: Final = frozenset({"rule", "tenant", "team", "kind", "size", "state", "unit", "summary"})
_SCHEMA: Final = {
    "fingerprint": pl.String,
    **{name: pl.String if name in _TEXTS else pl.Int64 for name in _NAMES},
    "deliver": pl.Boolean,
    "version": pl.Int64,
}
