"""The outbox: which notices are due, and what a delivery's row says after an attempt. Pure: clock and chance come from outside.

An episode (fingerprint, started_at) has at most two notices for a channel, firing and resolved, each one row of table alert_deliveries; a
channel that shows who has taken it on gets a third, acknowledged:

1. the row of the firing notice is written before the alert itself, so that no crash leaves an alert that nobody is told of
2. a notice is sent, then its row says so: who dies in between leaves it to be sent again, under the same key and message id
3. the resolved notice is due once the firing one was delivered; it needs no row before, for the alert's own row says that it is over
4. what is silenced or inhibited, or finds nobody at work, waits with its row; if it is over by then, the row says that it is
   dropped. What was told, or may have been, is told to be over
5. digests of a tenant wait for the next working day and then for each other: one message a channel and day, with all since the last. One
   that has ended by then has both of its notices in it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from streams.deliver.channel import ChannelPolicy, Delivered, Outcome, Refused, Retry, urgency
from streams.deliver.notice import Event
from streams.deliver.quiet import NOTHING, Quiet
from streams.detect.alert import Alert

FIRST_S: Final = 5.0
LONGEST_S: Final = 900.0
"""Pause after the first failure, doubled with each further one up to the second."""
ASKED_S: Final = 1800.0
"""The longest Retry-After that is honoured: a page must not wait until tomorrow because a proxy said so."""
TOLD_FOR_S: Final = 7 * 86_400
"""So long after its end an episode is still told: a channel may be away for a weekend, and a ticket may wait for the end of holidays."""
TRIPS: Final = 5
"""Failures in a row after which a channel is left alone and then only probed."""
ROUND: Final = 5
"""Messages of a channel in one round: with a round every five seconds, Slack's one message a second."""

TOGETHER: Final = 20
"""The most notices in one message: more than that, nobody reads, and Slack would cut."""

Status = Literal["due", "sent", "failed", "dropped"]
Key = tuple[str, int, Event, str]
_Digest = tuple[str, str]
"""Tenant and channel."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of alert_deliveries: one notice of an episode to one channel. Times in micro-seconds."""

    fingerprint: str
    started_at: int
    event: Event
    channel: str
    status: Status = "due"
    attempts: int = 0
    """Of all time, reminders included: the row's version."""
    failures: int = 0
    """In a row."""
    due_at: int = 0
    sent_at: int = 0
    """Of the last success; 0: never."""
    error: str = ""

    @property
    def key(self) -> Key:
        return self.fingerprint, self.started_at, self.event, self.channel

    @property
    def message_id(self) -> str:
        """Changes with each success, so a reminder is a new message and a repeated attempt is not."""
        return f"{self.fingerprint}.{self.started_at}.{self.event}.{self.attempts - self.failures}"


class Due(NamedTuple):
    """One notice to send now. `alert` is as the notice tells it."""

    alert: Alert
    delivery: Delivery


def expected(changes: Iterable[Alert], policies: Iterable[ChannelPolicy], now_us: int) -> list[Delivery]:
    """Rows to write before these changes of alerts are: a firing notice for each channel that wants it. Rows that are there already win."""
    policies = list(policies)
    return [
        _new(alert, "firing", policy, now_us)
        for alert in changes
        if alert.deliver and alert.fired_at and alert.open
        for policy in policies
        if policy.wants(alert.kind, alert.team, alert.tenant)
    ]


def dropped(
    alerts: Iterable[Alert],
    deliveries: Mapping[Key, Delivery],
    policies: Iterable[ChannelPolicy],
    now_us: int,
    quiet: Quiet,
) -> list[Delivery]:
    """Rows of firing notices that nobody needs any more: they were kept back until the alert was over. To be written before `due` is asked.

    A notice that may have been sent before it was kept back counts as sent: so its end is told, and no incident stays open.
    """
    policies, found = list(policies), list[Delivery]()
    for alert in alerts:
        if alert.state != "resolved":
            continue
        for policy in policies:
            row = deliveries.get(_new(alert, "firing", policy, now_us).key)
            if row is None or row.status != "due" or row.sent_at:
                continue
            why, always = quiet.forgets(alert, row.due_at, now_us)
            if why and always and not row.attempts:
                found.append(replace(row, status="dropped", error=why))
            elif why:
                found.append(replace(row, status="sent", sent_at=now_us, error=f"perhaps sent, {why}"))
    return found


def due(
    alerts: Collection[Alert],
    deliveries: Mapping[Key, Delivery],
    policies: Iterable[ChannelPolicy],
    now_us: int,
    quiet: Quiet = NOTHING,
) -> list[Due]:
    """What to send now, pages first. An alert that fires is due for a channel that has never heard of it, such as a new one; a resolved one
    only where its beginning was expected or told. Episodes of one fingerprint come one after the other: the end of the first would close the
    second where the fingerprint is the key."""
    policies, found, waiting = list(policies), list[Due](), set[tuple[str, str]]()
    digests: defaultdict[_Digest, list[Due]] = defaultdict(list)
    for alert in sorted(alerts, key=lambda alert: alert.started_at):
        if not alert.deliver or not alert.fired_at or alert.state == "inactive":
            continue
        muted, acknowledged = alert.open and quiet.mute(alert, now_us), quiet.acknowledged(alert, now_us) is not None
        asleep = quiet.sleeps_until(alert, now_us)
        for policy in policies:
            delivery = _next(alert, deliveries, policy, now_us, acknowledged=acknowledged)
            about = alert.fingerprint, policy.name
            if delivery is None or about in waiting or not policy.wants(alert.kind, alert.team, alert.tenant):
                continue
            waiting.add(about)
            one, bundled = Due(_as(alert, delivery.event), delivery), policy.bundles(alert.kind)
            known_and_refreshed = policy.refreshed and delivery.sent_at
            if muted and delivery.event == "firing" and not known_and_refreshed:
                continue
            if bundled:
                over = _unsent(alert, "resolved", deliveries, policy, now_us) if delivery.event == "firing" else None
                digests[alert.tenant, policy.name] += [one] if alert.open or over is None else [one, Due(alert, over)]
            elif delivery.due_at <= now_us and (policy.refreshed or not asleep):
                found.append(one)
    if digests:
        found += _ready(digests, _last_digests(alerts, deliveries), quiet.working_day(now_us), now_us)
    return sorted(found, key=lambda one: (-urgency(one.alert.kind), one.alert.fired_at, one.delivery.key))


def messages(dues: Iterable[Due], policy: ChannelPolicy) -> list[list[Due]]:
    """What goes out as one message each, in the order of their first: for a channel that groups, what a tenant's rule tells at the same time, and
    the digest of a tenant."""
    found: dict[object, list[Due]] = {}
    for one in dues:
        alert, delivery = one
        same: object = (alert.tenant, alert.rule, delivery.event) if policy.groups else delivery.key
        if policy.bundles(alert.kind):
            same = alert.tenant
        found.setdefault(same, []).append(one)
    return [
        group[at : at + most]
        for group in found.values()
        for most in [len(group) if policy.bundles(group[0].alert.kind) else TOGETHER]
        for at in range(0, len(group), most)
    ]


def after(delivery: Delivery, outcome: Outcome, now_us: int, jitter: float, repeat_s: int) -> Delivery:
    """The row after an attempt. `jitter` in [0, 1) spreads attempts of many workers; `repeat_s`: when to remind of what still fires."""
    tried = replace(delivery, attempts=delivery.attempts + 1)
    match outcome:
        case Delivered():
            return replace(tried, status="sent", failures=0, sent_at=now_us, due_at=_later(now_us, repeat_s), error="")
        case Refused(reason):
            failures, due_at = delivery.failures + 1, _later(now_us, repeat_s)
            return replace(tried, status="failed", failures=failures, due_at=due_at, error=reason)
        case Retry(reason, asked_s):
            pause_s = min(FIRST_S * 2 ** min(delivery.failures, 20), LONGEST_S) * (1 + jitter) / 2
            due_at = _later(now_us, max(pause_s, min(asked_s, ASKED_S)))
            return replace(tried, status="due", failures=delivery.failures + 1, due_at=due_at, error=reason)


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether a channel is tried at all: one that fails time after time, or has asked for a pause, is spared. Lives in memory."""

    failures: int = 0
    open_until: int = 0

    def room(self, now_us: int) -> int:
        """Messages that may be sent in this round; one, as a probe, after a pause."""
        if now_us < self.open_until:
            return 0
        return 1 if self.failures >= TRIPS else ROUND

    def after(self, outcome: Outcome, now_us: int) -> Breaker:
        """A refusal is an answer: the channel works."""
        if not isinstance(outcome, Retry):
            return Breaker()
        failures = self.failures + 1
        pause_s = min(FIRST_S * 2 ** min(failures - TRIPS, 20), LONGEST_S) if failures >= TRIPS else 0.0
        return Breaker(failures, _later(now_us, max(pause_s, min(outcome.after_s, ASKED_S))))


def _next(
    alert: Alert, deliveries: Mapping[Key, Delivery], policy: ChannelPolicy, now_us: int, *, acknowledged: bool
) -> Delivery | None:
    """The row of the notice that this channel gets next, due or not; None when there is none to come."""
    new = _new(alert, "firing", policy, now_us)
    firing = deliveries.get(new.key)
    if alert.open:
        if firing is None or not firing.sent_at or policy.refreshed:
            return firing or new
        if acknowledged:
            return _unsent(alert, "acknowledged", deliveries, policy, now_us) if policy.acknowledges else None
        return firing if alert.state == "firing" else None  # without data there is nothing to remind of
    if firing is None:
        return None
    if not firing.sent_at:
        return firing if firing.status == "due" else None  # refused or dropped: there is nothing to take back
    return _unsent(alert, "resolved", deliveries, policy, now_us)


def _ready(
    digests: Mapping[_Digest, Iterable[Due]], last: Mapping[_Digest, int], began: int, now_us: int
) -> Iterator[Due]:
    """The notices of each digest that is due: of all that changed before the working day `began`, unless it was sent since, or waits to be
    tried again as a whole."""
    for digest, dues in digests.items():
        tried = [one for one in dues if one.delivery.failures and one.delivery.status == "due"]
        if last.get(digest, 0) >= began or any(one.delivery.due_at > now_us for one in tried):
            continue
        for one in dues:
            changed_at = one.alert.resolved_at if one.delivery.event == "resolved" else one.alert.fired_at
            if changed_at < began and one.delivery.due_at <= now_us:
                yield one


def _last_digests(alerts: Iterable[Alert], deliveries: Mapping[Key, Delivery]) -> dict[_Digest, int]:
    """When each digest was last sent (us)."""
    tenants = {(alert.fingerprint, alert.started_at): alert.tenant for alert in alerts if alert.kind == "digest"}
    found: dict[_Digest, int] = {}
    for delivery in deliveries.values():
        tenant = tenants.get((delivery.fingerprint, delivery.started_at))
        if tenant is not None:
            found[tenant, delivery.channel] = max(found.get((tenant, delivery.channel), 0), delivery.sent_at)
    return found


def _unsent(
    alert: Alert, event: Event, deliveries: Mapping[Key, Delivery], policy: ChannelPolicy, now_us: int
) -> Delivery | None:
    new = _new(alert, event, policy, now_us)
    found = deliveries.get(new.key, new)
    return found if found.status == "due" else None


def _new(alert: Alert, event: Event, policy: ChannelPolicy, now_us: int) -> Delivery:
    return Delivery(alert.fingerprint, alert.started_at, event, policy.name, due_at=now_us)


def _as(alert: Alert, event: Event) -> Alert:
    """The alert as it was when it fired, if that is what is told of one that has ended since."""
    if event == "resolved" or alert.open:
        return alert
    return replace(alert, state="firing", clear_since=0, resolved_at=0, window_end=alert.fired_at)


def _later(now_us: int, seconds: float) -> int:
    return now_us + int(seconds * 1e6)
