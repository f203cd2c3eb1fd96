"""Probes: what no team's window tells, such as late results, a model without a price, or one item that eats a team's spend.

Each probe is a question to the store (`store/queries/probes`), asked again after `every_us`. Its answer names the groups for which something is wrong at
that moment; the life of such an alert is that of any other. Probes judge the present alone: a backfill of old data
answers none of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Final, NamedTuple

from streams.detect.alert import Alert
from streams.detect.observed import Group
from streams.detect.words import moment, percent, usd
from streams.windows.measures import DAY_US, HOUR_US

MINUTE_US: Final = 60_000_000
PLATFORM: Final[Group] = ("", "")
"""Tenant and team of what concerns all tenants."""


class Finding(NamedTuple):
    """What is wrong with a group now, as a probe's query answers. `value`, `baseline`, `threshold`: in the probe's unit.

    `amount`, `of` and `names` are what the probe's sentence needs: see there.
    """

    tenant: str
    team: str
    value: int
    baseline: int
    threshold: int
    spend_micro_usd: int
    amount: int
    of: int
    names: list[str]


@dataclass(frozen=True, slots=True)
class Probe(ABC):
    """One probe; its first line says what it looks at. `hold_us`: how long it must be true before it fires; `keep_firing_us`: how long it must be
    false before it resolves. What follows them are numbers of its query."""

    enabled: bool
    hold_us: int
    keep_firing_us: int

    name: ClassVar[str]
    kind: ClassVar[str]
    size: ClassVar[str]
    """The stretch of time that it looks at."""
    unit: ClassVar[str]
    every_us: ClassVar[int]

    @abstractmethod
    def says(self, f: Finding) -> str:
        """What is wrong, as the middle of a sentence that begins with the team."""

    @property
    def parameters(self) -> dict[str, int]:
        """The numbers of its query, by field."""
        return {field.name: getattr(self, field.name) for field in fields(self)[len(fields(Probe)) :]}


def judged(probe: Probe, open_alerts: Iterable[Alert], findings: Iterable[Finding], now_us: int) -> list[Alert]:
    """The alerts of a probe that change at `now_us`. `open_alerts`: its pending and firing ones."""
    at = {alert.group: alert for alert in open_alerts}
    found = {(finding.tenant, finding.team): finding for finding in findings}
    changes = (_step(probe, at.get(group), found.get(group), now_us) for group in sorted(at.keys() | found.keys()))
    return [change for change in changes if change is not None]


def _step(probe: Probe, alert: Alert | None, finding: Finding | None, now_us: int) -> Alert | None:
    if alert is None:
        if finding is None:
            return None
        begun = _begun(probe, finding, now_us)
        return begun if probe.hold_us else replace(begun, state="firing", fired_at=now_us, deliver=True)
    if now_us <= alert.window_end:
        return None  # asked already, perhaps by another worker
    if alert.state == "pending":
        if finding is None:
            return replace(alert, state="inactive", resolved_at=now_us, window_end=now_us)
        if now_us - alert.started_at < probe.hold_us:
            return None
        told = _begun(probe, finding, alert.started_at)
        return replace(told, state="firing", fired_at=now_us, window_end=now_us, deliver=True)
    if finding is not None:
        return replace(alert, clear_since=0, window_end=now_us) if alert.clear_since else None
    if not alert.clear_since:
        return replace(alert, clear_since=now_us, window_end=now_us)
    if now_us - alert.clear_since >= probe.keep_firing_us:
        return replace(alert, state="resolved", resolved_at=now_us, window_end=now_us)
    return None


def _begun(probe: Probe, finding: Finding, since_us: int) -> Alert:
    return Alert(
        rule=probe.name,
        tenant=finding.tenant,
        team=finding.team,
        kind=probe.kind,
        size=probe.size,
        state="pending",
        started_at=since_us,
        fired_at=0,
        clear_since=0,
        resolved_at=0,
        window_end=since_us,
        unit=probe.unit,
        value=finding.value,
        baseline=finding.baseline,
        threshold=finding.threshold,
        spend_micro_usd=finding.spend_micro_usd,
        usual_spend_micro_usd=0,
        core_value_milli=0,
        usual_core_value_milli=0,
        deliver=False,
        summary=f"{finding.team or 'tokenworth'} {probe.says(finding)}; so since {moment(since_us)}",
    )


# --- the probes -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResultsLate(Probe):
    """Windows are behind the clock, and once were on time.

    Each partition's watermark moves on even where no event comes. It tells of the platform, once: whoever runs it mends it for all tenants.
    """

    late_us: int
    name, kind, size, unit, every_us = "results_late", "page", "15m", "milli_minutes", MINUTE_US

    def says(self, f: Finding) -> str:
        return f"is {f.value // 1000:,} min behind: no window is newer in {f.amount:,} of {f.of:,} partitions"


@dataclass(frozen=True, slots=True)
class DeadLetters(Probe):
    """Records of the last 15 minutes that could not be used, of all records."""

    least_share_per_mille: int
    least_records: int
    name, kind, size, unit, every_us = "dead_letters", "page", "15m", "per_mille", MINUTE_US

    def says(self, f: Finding) -> str:
        return f"could not use {f.amount:,} of {f.of:,} records of the last 15 minutes, mostly: {_listed(f.names)}"


@dataclass(frozen=True, slots=True)
class VerifyMismatch(Probe):
    """Rows that differ from what the raw events say, in the last `tokenworth verify` of two days."""

    least_rows: int
    name, kind, size, unit, every_us = "verify_mismatch", "page", "24h", "rows", MINUTE_US

    def says(self, f: Finding) -> str:
        return f"found {f.amount:,} stored rows that differ from what the raw events say: {_listed(f.names)}"


@dataclass(frozen=True, slots=True)
class VerifyOverdue(Probe):
    """The last `tokenworth verify` is long ago; nothing where it never ran."""

    after_us: int
    name, kind, size, unit, every_us = "verify_overdue", "ticket", "24h", "hours", HOUR_US

    def says(self, f: Finding) -> str:
        return f"last compared its results with the raw events {f.amount:,} hours ago"


@dataclass(frozen=True, slots=True)
class UnpricedModel(Probe):
    """Requests of a tenant's last day without a price, and of which models. Stored windows do not tell the source."""

    least_share_per_mille: int
    name, kind, size, unit, every_us = "unpriced_model", "ticket", "24h", "per_mille", HOUR_US

    def says(self, f: Finding) -> str:
        return f"has no price for {f.amount:,} of {f.of:,} requests of a day: {_listed(f.names)}"


@dataclass(frozen=True, slots=True)
class BrokenHook(Probe):
    """Teams of a tenant whose unattributed_surge began at about the same time: what names their work items is broken for all.

    Told instead of the single teams' tickets, for as long as they last.
    """

    least_teams: int
    within_us: int
    name, kind, size, unit, every_us = "broken_hook", "ticket", "24h", "teams", MINUTE_US

    def says(self, f: Finding) -> str:
        return f"loses the work items of the AI usage of {f.amount} teams at once: {_listed(f.names)}"


@dataclass(frozen=True, slots=True)
class CompletionsSilent(Probe):
    """A tenant's day without a completion, against the same day of the weeks before, while its usage comes. Stored windows do not tell the source."""

    least_items: int
    least_share_per_mille: int
    name, kind, size, unit, every_us = "completions_silent", "ticket", "24h", "items", HOUR_US

    def says(self, f: Finding) -> str:
        return f"completed no item in 24 hours that usually bring {f.amount:,}, while {f.of:,} AI requests came"


@dataclass(frozen=True, slots=True)
class BudgetForecast(Probe):
    """Standard cost of a calendar month (UTC) of a team or tenant with a budget: what is spent, and what will be at this pace."""

    forecast_factor_per_mille: int
    least_days: int
    used_share_per_mille: int
    name, kind, size, unit, every_us = "budget_forecast", "ticket", "28d", "per_mille", HOUR_US

    def says(self, f: Finding) -> str:
        if f.amount == f.spend_micro_usd:
            return f"has spent {usd(f.amount)} on AI this month, {percent(f.value)} of its budget of {usd(f.of)}"
        return f"has spent {usd(f.spend_micro_usd)} on AI this month and will have spent {usd(f.amount)} at its end, {percent(f.value)} of its budget of {usd(f.of)}"


@dataclass(frozen=True, slots=True)
class TokenSink(Probe):
    """The open item that takes most of its team's spend of 28 days, if it is old."""

    floor_micro_usd: int
    least_share_per_mille: int
    least_days: int
    name, kind, size, unit, every_us = "token_sink", "ticket", "28d", "per_mille", 6 * HOUR_US

    def says(self, f: Finding) -> str:
        return f"put {usd(f.spend_micro_usd)} of AI spend in 28 days, {percent(f.value)} of all, into {_listed(f.names)}, open for {f.amount} days"


@dataclass(frozen=True, slots=True)
class _ShareOfItems(Probe):
    least_items: int
    least_share_per_mille: int
    factor_per_mille: int
    what: ClassVar[str]
    kind, size, unit, every_us = "digest", "28d", "per_mille", DAY_US

    def says(self, f: Finding) -> str:
        return f"{self.what} {f.amount:,} of {f.of:,} items in 28 days, {percent(f.value)}, {percent(f.baseline)} in the 28 days before"


@dataclass(frozen=True, slots=True)
class Stalled(_ShareOfItems):
    """Of a team's items that ended in 28 days those that ended without a word: open, and nothing seen of them for 28 days."""

    name, what = "stalled", "let go of"


@dataclass(frozen=True, slots=True)
class Reopened(_ShareOfItems):
    """Of a team's items that were completed in 28 days, those that were reopened."""

    name, what = "reopened", "reopened"


@dataclass(frozen=True, slots=True)
class Canceled(_ShareOfItems):
    """Of a team's items that were completed or canceled in 28 days, those that were canceled."""

    name, what = "canceled", "canceled"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


PROBES: Final[tuple[type[Probe], ...]] = (
    ResultsLate,
    DeadLetters,
    VerifyMismatch,
    VerifyOverdue,
    UnpricedModel,
    BrokenHook,
    CompletionsSilent,
    BudgetForecast,
    TokenSink,
    Stalled,
    Reopened,
    Canceled,
)
NAMES: Final = frozenset(probe.name for probe in PROBES)
