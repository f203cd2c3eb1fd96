"""Reads the demo's figures from ClickHouse, and holds the alerts against the labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from streams.local.demo.figures import FiredAlert, Pair, Records, Speed, Story, TeamStory, Told, Verified
from streams.local.traffic import TENANT, Episode, Traffic
from streams.store.reading import read
from streams.windows.measures import DAY_US

WEEK_US: Final = 7 * DAY_US
FOUND_WITHIN_US: Final = WEEK_US
"""A rule that judges seven days may tell an episode for as long as one of its days is in the window."""
MOST_OF_THE_EXTRA: Final = 0.75
"""The headline names as few teams as account for this share of the extra spend."""


def tell(client: Any, traffic: Traffic, records: Records, verified: Verified, speed: Speed, lateness_us: int) -> Story:
    """The story of a demo whose windows are final and judged. `lateness_us`: how long after its end a window is final."""
    weeks = _weeks(client, traffic)
    daily = _daily(client, traffic)
    teams = _teams(client, traffic)
    alerts = _alerts(client, lateness_us)
    told, false_alerts = match(traffic.labelled, alerts)
    quality = read(client, "demo/quality", tenant=TENANT).row(0, named=True)
    return Story(
        seed=traffic.seed,
        days=(traffic.end_us - traffic.begin_us) // DAY_US,
        begin_us=traffic.begin_us,
        people=traffic.people,
        teams=teams,
        spend_usd=weeks["spend_usd"],
        core_value=weeks["core_value"],
        core_per_mtok=weeks["core_per_mtok"],
        daily_spend_usd=daily["spend_usd"],
        daily_core_value=daily["core_value"],
        daily_core_per_mtok=daily["core_per_mtok"],
        drivers=drivers(teams),
        fates=dict(read(client, "demo/fates", tenant=TENANT).iter_rows()),
        told=told,
        false_alerts=false_alerts,
        quiet=tuple(f"{e.team} ({e.kind.replace('_', ' ')})" for e in traffic.episodes if not e.rules),
        known_requests=quality["known_requests"],
        rules_fit=quality["rules_fit"],
        records=records,
        verified=verified,
        speed=speed,
        example=_example(client),
    )


def match(episodes: Iterable[Episode], alerts: Iterable[FiredAlert]) -> tuple[tuple[Told, ...], tuple[FiredAlert, ...]]:
    """Alerts by the episode that they tell, and the false ones: of no episode of that team, or by a rule that its label does not name."""
    waiting = list(alerts)
    told = []
    for episode in episodes:
        of = tuple(
            alert
            for alert in waiting
            if alert.team == episode.team
            and alert.rule in episode.rules
            and episode.begin_us <= alert.started_us <= episode.end_us + FOUND_WITHIN_US
        )
        waiting = [alert for alert in waiting if alert not in of]
        told.append(Told(episode, of))
    return tuple(told), tuple(waiting)


def drivers(teams: Sequence[TeamStory]) -> tuple[tuple[str, float], ...]:
    """The teams with the most extra spend, as few as account for most of it; in USD."""
    extra = {t.team: t.spend_usd - t.spend_before_usd for t in teams if t.spend_before_usd is not None}
    total = sum(extra.values())
    found: list[tuple[str, float]] = []
    for team, usd in sorted(extra.items(), key=lambda entry: -entry[1]):
        if total <= 0 or sum(u for _, u in found) >= MOST_OF_THE_EXTRA * total:
            break
        found.append((team, usd))
    return tuple(found)


def read_teams(teams: Iterable[TeamStory]) -> tuple[TeamStory, ...]:
    """Teams by spend, each with what there is to say about it, if anything."""
    ranked = sorted(teams, key=lambda team: -team.spend_usd)
    judged = [team for team in ranked if team.core_per_mtok is not None and not team.on_call]
    best = max(judged, key=lambda team: team.core_per_mtok or 0.0, default=None)
    return tuple(replace(team, reading=_reading(team, team is best)) for team in ranked)


def _reading(team: TeamStory, best: bool) -> str:
    share = defaultdict(float, team.shares)
    if share["low_value"] >= 0.35:
        return f"! {share['low_value']:.0%} went into low-value work".replace("%", " %")
    if share["unattributed"] >= 0.35:
        return f"! {share['unattributed']:.0%} has no work item".replace("%", " %")
    if team.on_call:
        return f"on-call {share['enabling']:.0%}: no per-unit verdict".replace("%", " %")
    before = team.spend_before_usd or 0.0
    if before and team.spend_usd >= 1.5 * before and team.core_value <= 1.1 * (team.core_value_before or 0.0):
        return "! spend up, core work flat"
    if best:
        return f"cheapest core work, {team.reopened} reopened"
    return ""


def _weeks(client: Any, traffic: Traffic) -> dict[str, Pair]:
    """The tenant's last two weeks; the one before the last only if it is whole."""
    ends = [traffic.end_us - WEEK_US, traffic.end_us]
    found = _tenant_windows(client, "7d", ends if _two_weeks(traffic) else ends[1:])
    return {
        name: (found[ends[0]].get(name), found[ends[1]].get(name))
        for name in ("spend_usd", "core_value", "core_per_mtok")
    }


def _two_weeks(traffic: Traffic) -> bool:
    return traffic.end_us - traffic.begin_us >= 2 * WEEK_US


def _daily(client: Any, traffic: Traffic) -> dict[str, tuple[float | None, ...]]:
    """Spend and core work of each day, and the ratio of the seven days up to its end."""
    ends = list(range(traffic.begin_us + DAY_US, traffic.end_us + 1, DAY_US))
    days, weeks = _tenant_windows(client, "24h", ends), _tenant_windows(client, "7d", ends)
    return {
        "spend_usd": tuple(days[end].get("spend_usd") for end in ends),
        "core_value": tuple(days[end].get("core_value") for end in ends),
        "core_per_mtok": tuple(weeks[end].get("core_per_mtok") for end in ends),
    }


def _tenant_windows(client: Any, size: str, ends_us: Sequence[int]) -> Mapping[int, Mapping[str, float | None]]:
    ends_s = [end // 1_000_000 for end in ends_us]
    rows = read(client, "demo/tenant_windows", tenant=TENANT, size=size, ends=ends_s)
    found: dict[int, dict[str, float | None]] = defaultdict(dict)
    for row in rows.iter_rows(named=True):
        found[row["window_end_s"] * 1_000_000] = row
    return found


def _teams(client: Any, traffic: Traffic) -> tuple[TeamStory, ...]:
    end_s = traffic.end_us // 1_000_000
    rows = read(client, "demo/team_weeks", tenant=TENANT, ends=[end_s - 7 * 86_400, end_s])
    last = {row["team"]: row for row in rows.filter(pl.col("window_end_s") == end_s).iter_rows(named=True)}
    before = {
        row["team"]: row
        for row in rows.filter(pl.col("window_end_s") < end_s).iter_rows(named=True)
        if _two_weeks(traffic)
    }
    shares: dict[str, dict[str, float]] = defaultdict(dict)
    for team, fate, share in read(client, "demo/team_fates", tenant=TENANT, end_s=end_s).iter_rows():
        shares[team][fate] = share
    return read_teams(
        TeamStory(
            team=team,
            spend_usd=row["spend_usd"],
            spend_before_usd=before.get(team, {}).get("spend_usd"),
            core_value=row["core_value"],
            core_value_before=before.get(team, {}).get("core_value"),
            core_per_mtok=row["core_per_mtok"],
            core_per_mtok_before=before.get(team, {}).get("core_per_mtok"),
            reopened=row["reopened"],
            shares=shares[team],
        )
        for team, row in last.items()
    )


def _alerts(client: Any, lateness_us: int) -> list[FiredAlert]:
    rows = read(client, "demo/alerts", tenant=TENANT)
    return [
        FiredAlert(row["rule"], row["team"], row["kind"], row["started_us"], row["fired_us"] + lateness_us)
        for row in rows.iter_rows(named=True)
    ]


def _example(client: Any) -> str:
    """A core item with much assistance, for the next command."""
    found = read(client, "demo/example", tenant=TENANT)["work_item_id"].to_list()
    return found[0] if found else ""
