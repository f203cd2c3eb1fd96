"""Inhibition: an alert that explains others keeps them from being told while it fires. They keep their state, and are told if they outlast it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from streams.detect.alert import Alert
from streams.detect.observed import Group


class Inhibition(NamedTuple):
    """While `source` fires for a team, these rules are not told for it; none named: all others."""

    source: str
    rules: tuple[str, ...] = ()


INHIBITIONS: Final = (
    Inhibition("feed_silent"),  # without its usage a team's other figures are wrong
    Inhibition("spend_runaway", ("repeated_prompts",)),  # the page names the repeats already
    Inhibition("broken_hook", ("unattributed_surge",)),  # one ticket for the platform, not one for each team
)


Sources = Mapping[Group, Sequence[Alert]]
"""Alerts that may inhibit others, by tenant and team."""


def sources(alerts: Iterable[Alert]) -> Sources:
    """Those of the alerts that may inhibit others: only what is to be told itself."""
    found: defaultdict[Group, list[Alert]] = defaultdict(list)
    for alert in alerts:
        if alert.deliver and alert.fired_at and any(alert.rule == entry.source for entry in INHIBITIONS):
            found[alert.group].append(alert)
    return found


def inhibiting(known: Sources, alert: Alert, at_us: int = 0) -> Alert | None:
    """What inhibits this alert at that time (us), if anything; without a time, now."""
    of_team = known.get(alert.group, ())
    # What is wrong with all of a tenant, or with its usage without a team, must not hold back a page of a team that sends.
    of_tenant = () if alert.kind == "page" else known.get((alert.tenant, ""), ())
    return next(
        (source for source in (*of_team, *of_tenant) if _lasts(source, at_us) and _explains(source, alert)), None
    )


def _lasts(source: Alert, at_us: int) -> bool:
    return source.open if not at_us else source.fired_at <= at_us and (source.open or at_us <= source.resolved_at)


def _explains(source: Alert, alert: Alert) -> bool:
    return source.rule != alert.rule and any(
        entry.source == source.rule and (not entry.rules or alert.rule in entry.rules) for entry in INHIBITIONS
    )
