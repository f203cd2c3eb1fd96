"""What a message says of an alert that a probe began: of tokenworth itself, of a tenant, or of a team's items."""

from __future__ import annotations

import shlex
from typing import Final

from streams.detect.alert import Alert
from streams.detect.words import duration, moment, one_line

_TITLES: Final = {
    "results_late": "results are late",
    "dead_letters": "many records cannot be used",
    "verify_mismatch": "stored results differ from the raw events",
    "verify_overdue": "its results are no longer verified",
    "unpriced_model": "models without a price",
    "broken_hook": "usage of many teams names no work item",
    "completions_silent": "no completions come",
    "budget_forecast": "the month's budget",
    "token_sink": "one old item takes much of the spend",
    "stalled": "many items end without a word",
    "reopened": "many items are reopened",
    "canceled": "many items are canceled",
}
_NEXT: Final = {
    "results_late": "`tokenworth doctor` says which part does not answer; then the worker's log. Nothing is lost: results catch up by themselves. Alerts on "
    "windows wait as long.",
    "dead_letters": "`tokenworth doctor` shows the reasons, table dead_letters each record. Usually a publisher began to send another schema: tell who "
    "runs it. What was refused counts nowhere until it is sent again.",
    "verify_mismatch": "`tokenworth verify` names the rows; `tokenworth rebuild` makes them again from the raw events. Please report it: it is a defect.",
    "verify_overdue": "Run `tokenworth verify`, and see why the nightly one (service `verify`, or your scheduler) did not come to its end. Until then nobody "
    "would notice a wrong result.",
    "unpriced_model": "Add the models to the price book: `tokenworth rules apply --prices FILE`. Until then they cost what its default line says.",
    "broken_hook": "Look at what names work items for all of them, such as a hook, a gateway or a rule for branch names. Tickets of the single teams "
    "are held back meanwhile: `{alerts}`.",
    "completions_silent": "See whether the tracker still sends: `tokenworth doctor`, then its webhook. Until it does, all work looks unfinished.",
    "budget_forecast": "See where it went: `{windows} --size 28d --by tool`, `{windows} --size 28d --by model`.",
    "token_sink": "See the item: `tokenworth explain {item}`. Split it, or close it if it is done.",
    "stalled": "Close what nobody works on, so that its spend is told as what it is: `{fates}`.",
    "reopened": "See whether work was completed too early: `{windows} --size 28d`.",
    "canceled": "See what it cost: `{fates}`. Work that is canceled early is no loss.",
}


def title(alert: Alert) -> str:
    """One line that says enough to decide whether to get up."""
    name = f"{_who(alert)}: {_TITLES[alert.rule]}"
    if alert.state == "resolved":
        return f"[resolved] {name}: over after {duration(alert.resolved_at - alert.started_at)}"
    return f"[{alert.kind}] {name}"


def firing(alert: Alert, told_at_us: int) -> list[tuple[str, str]]:
    """The facts, in the order in which a person needs them."""
    lasted = duration(max(told_at_us - alert.started_at, 0))
    return [
        ("What", _what(alert)),
        *_whose(alert),
        ("Since", f"{moment(alert.started_at)}, {lasted} ago"),
        ("Next", _next(alert)),
    ]


def resolved(alert: Alert) -> list[tuple[str, str]]:
    """The facts of what is over."""
    lasted = duration(alert.resolved_at - alert.started_at)
    return [
        ("What", f"no longer so: {_what(alert)}"),
        *_whose(alert),
        ("From", f"{moment(alert.started_at)} to {moment(alert.resolved_at)}, {lasted}"),
        ("Next", "Nothing has to be done."),
    ]


def _what(alert: Alert) -> str:
    return alert.summary.rpartition("; so since ")[0]


def _whose(alert: Alert) -> list[tuple[str, str]]:
    if alert.team:
        return [("Team", f"{one_line(alert.team)}, tenant {one_line(alert.tenant)}")]
    return [("Tenant", one_line(alert.tenant))] if alert.tenant else []


def _who(alert: Alert) -> str:
    return one_line(alert.team or alert.tenant) or "tokenworth"


def _next(alert: Alert) -> str:
    scope = f" --team {shlex.quote(alert.team)}" if alert.team else ""
    scope += f" --tenant {shlex.quote(alert.tenant)}" if alert.tenant else ""
    found = alert.summary.rpartition("into ")[2].rpartition(", open for")[0]
    return _NEXT[alert.rule].format(
        alerts=f"tokenworth alerts{scope}",
        windows=f"tokenworth windows{scope}",
        fates=f"tokenworth fates{scope} --days 28",
        item=shlex.quote(found),
    )
