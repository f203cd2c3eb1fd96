"""Alerts in words that a person can act on who was asleep a minute ago: what, since when, against what, how sure, why, what next.

Teams are named, people never: an alert does not know them.
"""

from __future__ import annotations

import shlex
from typing import Final

from streams.deliver import probe_messages
from streams.deliver.notice import CHART_FACT, Chart, Event, Notice, spark
from streams.deliver.reasons import UNEXPLAINED, Explained
from streams.detect.alert import Alert, fingerprint
from streams.detect.observed import SIZE_US
from streams.detect.probes import NAMES as PROBES
from streams.detect.words import duration, moment, one_line, percent, times, usd, value
from streams.windows.measures import DAY_US

_REASONS: Final = 3
_SUMMARY_ENDS: Final = "; so since "
"""What follows in an alert's summary stands in facts of its own."""
_NAMES: Final = {
    "spend_up_core_flat": "spend up, core work flat",
    "low_value_share": "much low-value work",
    "unattributed_surge": "much spend without work items",
    "repeated_prompts": "many repeated prompts",
    "feed_silent": "its usage feed is silent",
    "completion_surge": "many items completed at once",
}
"""Rules whose own name says too little to somebody who is woken."""
_NEXT: Final = {
    "spend_runaway": "{find} Often an agent in a loop or a batch job on a large model: stop it or lower the limit of its key, and tell the team.",
    "spend_up_core_flat": "See where the spend went: `{fates}`, `{windows} --by class`. A large piece of work looks the same until it is "
    "completed: ask the team's lead in working hours before anything is cut.",
    "low_value_share": "See what kind of work it was: `{windows} --by class`, `{fates}`. Ask the team's lead whether it was meant.",
    "unattributed_surge": "{find} Usually a hook or a branch name that no longer names the work items; if several teams are hit at once, it is "
    "the platform's.",
    "repeated_prompts": "{find} Often a job that tries again for ever or an agent in a loop.",
    "feed_silent": "See whether events still arrive: `tokenworth doctor`, and whether other teams are silent too: `{alerts_of_all}`. If several are, a "
    "publisher, gateway or hook is down: tell the platform team. Until it is back, the team's other figures are too low.",
    "completion_surge": "Nothing has to be done if old items were closed in bulk: what was completed then counts for no other alert of the team. `{fates}` "
    "shows what it was.",
}
_IN: Final = {"1h": " in an hour", "24h": " in a day", "7d": " in a week"}
LINK_FIELDS: Final = ("tenant", "team", "rule", "window", "from_ms", "to_ms")
"""What an address of a dashboard may hold in braces."""
_ANY: Final = "Look at `{windows}`, and at what else fires: `{alerts}`."


def notice(
    alert: Alert, message_id: str, told_at_us: int, explained: Explained = UNEXPLAINED, link: str = ""
) -> Notice:
    """The message of an alert that fires or has resolved, with what is known beyond its own figures. `link`: of a dashboard that shows it."""
    event: Event = "resolved" if alert.state == "resolved" else "firing"
    if alert.rule in PROBES:
        facts = probe_messages.resolved(alert) if event == "resolved" else probe_messages.firing(alert, told_at_us)
    else:
        facts = _resolved(alert) if event == "resolved" else _firing(alert, explained, told_at_us)
    return Notice(
        event=event,
        fingerprint=alert.fingerprint,
        id=message_id,
        labels=alert.labels,
        title=title(alert),
        facts=tuple((what, text) for what, text in facts if text),
        starts_at=alert.started_at,
        ends_at=alert.resolved_at if event == "resolved" else 0,
        told_at=told_at_us,
        link=link,
        chart=explained.chart if event == "firing" else None,
    )


def link(template: str, alert: Alert) -> str:
    """Address of the dashboard with what LINK_FIELDS names filled in: the alert's group, and from a window before it began to its last change."""
    length = SIZE_US.get(alert.size, DAY_US)
    fields = (
        alert.tenant,
        alert.team,
        alert.rule,
        alert.size,
        str((alert.started_at - 2 * length) // 1000),
        str(alert.window_end // 1000),
    )
    for name, filled in zip(LINK_FIELDS, fields, strict=True):
        template = template.replace(f"{{{name}}}", _quoted(filled))
    return template


def test_notice(event: Event, channel: str, now_us: int) -> Notice:
    """A message that asks nobody for anything. It lasts a second, so that a channel that keeps alerts forgets it."""
    labels = {"alertname": "tokenworth_test", "kind": "digest", "channel": channel}
    told = "is over" if event == "resolved" else "fires"
    return Notice(
        event=event,
        fingerprint=fingerprint(labels),
        id=f"{fingerprint(labels)}.{now_us}.{event}.0",
        labels=labels,
        title=f"[test] tokenworth reaches {channel}: a test alert {told}",
        facts=(
            ("What", f"A test of the channel {channel}, sent by hand with `tokenworth alerts test-channel`."),
            ("Next", "Nothing has to be done."),
        ),
        starts_at=now_us - 1_000_000,
        ends_at=now_us if event == "resolved" else 0,
        told_at=now_us,
    )


def title(alert: Alert) -> str:
    """One line that says enough to decide whether to get up."""
    if alert.rule in PROBES:
        return probe_messages.title(alert)
    name = _name(alert)
    if alert.state == "resolved":
        return f"[resolved] {name} is over after {duration(alert.resolved_at - alert.started_at)}"
    during = _IN.get(alert.size, f" in {alert.size}") if alert.unit == "micro_usd" else ""
    return f"[{alert.kind}] {name}, {_figure(alert, alert.value)}{during}, usually {_figure(alert, alert.baseline)}"


def _firing(alert: Alert, explained: Explained, told_at_us: int) -> list[tuple[str, str]]:
    chart = explained.chart
    return [
        ("What", alert.summary.partition(_SUMMARY_ENDS)[0]),
        ("Since", f"{moment(alert.started_at)}, {duration(max(told_at_us - alert.started_at, 0))} before this message"),
        ("Observed", f"{_figure(alert, alert.value)}, {_expected(alert, chart)}"),
        ("Likely", _likely(alert, explained)),
        ("Next", _next(alert, explained.begin_with)),
        (CHART_FACT, f"{spark(chart.values)}  {chart.what}" if chart else ""),
        ("How sure", _how_sure(alert)),
        ("Team", f"{_who(alert)}, tenant {one_line(alert.tenant)}"),
    ]


def _expected(alert: Alert, chart: Chart | None) -> str:
    """What is usual, between which values it lay before it began, and from where on it alerts."""
    earlier = chart.values[: chart.begun] if chart else ()
    ends = " to ".join(dict.fromkeys(_figure(alert, end(earlier)) for end in (min, max))) if earlier else ""
    between = f" ({ends} just before)" if ends else ""
    level = f"{_figure(alert, alert.threshold)} " + ("down" if _too_little(alert) else "on")
    return f"usually {_figure(alert, alert.baseline)}{between}, alerts from {level}"


def _likely(alert: Alert, explained: Explained) -> str:
    """The reasons with the most money, then what the alert's own figures say; a line each."""
    told = [*(reason.text for reason in explained.reasons), *reasons(alert)][:_REASONS]
    return "\n".join(f"{number}. {text}" for number, text in enumerate(told, 1)) if len(told) > 1 else "".join(told)


def _how_sure(alert: Alert) -> str:
    held_us = alert.fired_at - alert.started_at
    found = [
        f"{times(alert.value, alert.threshold)} the level that alerts" if _too_much(alert) else "",
        f"true for {duration(held_us)} before it fired" if held_us else "",
    ]
    told = ", ".join(part for part in found if part)
    return (f"{told}; " if told else "") + "compared with the team's own four weeks before"


def _too_much(alert: Alert) -> bool:
    return 0 < alert.threshold <= alert.value and not _too_little(alert)


def _too_little(alert: Alert) -> bool:
    """Whether the rule is about something that is missing: the level lies below the usual."""
    return alert.threshold < alert.baseline


def _resolved(alert: Alert) -> list[tuple[str, str]]:
    lasted = duration(alert.resolved_at - alert.started_at)
    back = f"back to usual since {moment(alert.clear_since)}" if alert.clear_since else "no longer true"
    why = "it lasted so long that it counts as usual from now on" if alert.accepted else back
    return [
        ("What", alert.summary.partition("; ")[0] if alert.ended_with_rule else f"{_name(alert)} is over, {why}"),
        ("Team", f"{_who(alert)}, tenant {one_line(alert.tenant)}"),
        ("From", f"{moment(alert.started_at)} to {moment(alert.resolved_at)}, {lasted}"),
        ("It was", f"{_figure(alert, alert.value)} when it fired, usually {_figure(alert, alert.baseline)}"),
        ("Next", "Nothing has to be done."),
    ]


def reasons(alert: Alert) -> list[str]:
    """What the alert's own figures say about why, the clearest first."""
    found = []
    spend, usual = alert.spend_micro_usd, alert.usual_spend_micro_usd
    core, usual_core = alert.core_value_milli, alert.usual_core_value_milli
    if alert.size in ("7d", "28d") and usual_core > 0:  # work takes longer than an hour or a day to complete
        compared = f"{value(core)}, usually {value(usual_core)}"
        if 2 * core <= usual_core:
            found.append(f"core work fell: {compared}")
        elif 10 * core <= 11 * usual_core:
            found.append(f"core work did not grow with it: {compared}")
        elif 2 * core >= 3 * usual_core:
            found.append(f"core work grew as well, so part of this may pay off: {compared}")
    if alert.unit == "per_mille" and usual > 0:
        if 2 * spend >= 3 * usual:
            found.append(f"all AI spend of the team rose: {usd(spend)}, usually {usd(usual)}")
        elif 10 * spend <= 11 * usual:
            found.append(f"the team spent no more than usual ({usd(spend)}): the mix has changed")
    return found


def _next(alert: Alert, begin_with: str) -> str:
    team = f" --team {shlex.quote(alert.team)}" if alert.team else ""
    days = {"7d": 7, "28d": 28}.get(alert.size, 1)
    windows = f"tokenworth windows{team} --size {alert.size}"
    by = f"`{windows} --by tool` (or `--by model`)"
    find = f"Begin with {begin_with}; {by} shows all." if begin_with else f"Find what it is: {by}."
    return _NEXT.get(alert.rule, _ANY).format(
        find=find,
        windows=windows,
        fates=f"tokenworth fates{team} --days {days}",
        alerts=f"tokenworth alerts{team}",
        alerts_of_all="tokenworth alerts --open",
    )


def _figure(alert: Alert, figure: int) -> str:
    """A figure in the alert's unit; of one that is not known, the number and its name."""
    match alert.unit:
        case "micro_usd":
            return usd(figure)
        case "per_mille":
            return percent(figure)
        case "milli_requests":
            return f"{figure // 1000:,} requests"
        case unit:
            return f"{figure:,} {unit.replace('_', ' ')}"


def _name(alert: Alert) -> str:
    return f"{_who(alert)}: {_NAMES.get(alert.rule) or alert.rule.replace('_', ' ')}"


def _who(alert: Alert) -> str:
    return one_line(alert.team) or "usage without a team"


def _quoted(text: str) -> str:
    """As a part of an address."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-._~") else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
