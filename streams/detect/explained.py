"""Rules and probes for a reader: what each looks at, what its numbers mean, and an example with the numbers in force."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Final

from streams.detect.numbers import Number, Numbered, numbers_of
from streams.detect.observed import Observed
from streams.detect.policy import SHIPPED, AlertPolicy
from streams.detect.rule import AlertRule, Usual
from streams.detect.words import percent, usd
from streams.value.documents import shipped

_USD: Final = 1_000_000
_MEANINGS: Final = {
    "enabled": "whether the rule is judged at all",
    "for": "how long it must be true before it fires",
    "keep_firing_for": "how long it must be false before the alert is over",
}
_CASES: Final = {
    "spend_runaway": (
        Observed(spend=40 * _USD),
        Observed(spend=600 * _USD, unattributed=450 * _USD, repeated_prompts=312),
    ),
    "spend_up_core_flat": (
        Observed(spend=800 * _USD, items=20, core_value_milli=12_000),
        Observed(spend=1700 * _USD, items=22, core_value_milli=12_500, week=1700 * _USD),
    ),
    "low_value_share": (
        Observed(ended=700 * _USD, low_value=70 * _USD),
        Observed(ended=900 * _USD, low_value=410 * _USD, days=7),
    ),
    "unattributed_surge": (
        Observed(spend=150 * _USD, unattributed=9 * _USD),
        Observed(spend=160 * _USD, unattributed=120 * _USD),
    ),
    "repeated_prompts": (
        Observed(spend=150 * _USD, requests=6000, repeated_prompts=120),
        Observed(spend=200 * _USD, requests=9000, repeated_prompts=4100),
    ),
    "feed_silent": (Observed(requests=310), Observed(requests=80, silent_us=45 * 60_000_000)),
    "completion_surge": (Observed(items=3), Observed(items=64)),
}
"""By rule a usual window of a team, and one that is told under the shipped numbers."""


def what(rule: Numbered) -> str:
    """What a rule or probe looks at, in paragraphs; the first line is its summary."""
    return cleandoc(type(rule).__doc__ or "")


def meanings(rule: Numbered) -> dict[str, str]:
    """What each number means, by its key: the comments of the shipped file."""
    section = shipped(SHIPPED, "detect").partition(f"\n[{rule.name}]\n")[2].partition("\n[")[0]
    said = dict(re.findall(r"^(\w+) = [^#\n]*# (.*)$", section, re.MULTILINE))
    return {number.key: said.get(number.key) or _MEANINGS[number.key] for number in numbers_of(type(rule))}


def figure(rule: AlertRule, value: int) -> str:
    """A figure that the rule judges, in its unit."""
    match rule.unit:
        case "micro_usd":
            return usd(value)
        case "per_mille":
            return percent(value)
        case "milli_requests":
            return f"{value // 1000:,} requests"
        case "items":
            return f"{value:,} items"


def example(rule: AlertRule) -> str:
    """A made team: what happened to it, and whether the numbers in force tell it. Empty for a rule without a case."""
    if rule.name not in _CASES:
        return ""
    usually, now = _CASES[rule.name]
    of_usual = rule.figure(usually) or 0
    than = Usual(
        rule.baseline(of_usual, of_usual), rule.threshold(of_usual, of_usual), usually.spend, usually.core_value_milli
    )
    told = rule.enabled and rule.worth(now) and rule.active(now, than)
    level = f"alerts from {figure(rule, than.threshold)} {'down' if than.threshold < than.baseline else 'on'}"
    ends = f"{level}: {'told' if told else 'not told'}" if rule.enabled else "not told: the rule is off"
    return f"search {rule.says(now, than)}; {ends}"


def differences(policy: AlertPolicy) -> list[dict[str, str]]:
    """Every number of rules and probes that is not the shipped one: rule, number, shipped, here, and for whom."""
    old = {one.name: one for one in AlertPolicy().numbered}
    rows = [
        _row(rule, number, getattr(old[rule.name], number.field), getattr(rule, number.field), "everyone")
        for rule in policy.numbered
        for number in numbers_of(type(rule))
        if getattr(rule, number.field) != getattr(old[rule.name], number.field)
    ]
    for override in policy.overrides:
        told = (("tenants", override.tenants), ("teams", override.teams))
        whom = " of ".join(f"{kind} {', '.join(sorted(names))}" for kind, names in reversed(told) if names)
        rows += [
            _row(old[name], number, getattr(old[name], number.field), changes[number.field], whom)
            for name, changes in override.changes.items()
            for number in numbers_of(type(old[name]))
            if number.field in changes
        ]
    return rows


def _row(rule: Numbered, number: Number, shipped: int, here: int, whom: str) -> dict[str, str]:
    return {
        "rule": rule.name,
        "number": number.key,
        "shipped": number.show(shipped),
        "here": number.show(here),
        "for": whom,
    }
