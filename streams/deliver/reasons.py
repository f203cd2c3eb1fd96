"""Why an alert fires, in words, ranked by money: the alert's window against the same stretch of other weeks, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.deliver.notice import Chart, shortened
from streams.detect.alert import Alert
from streams.detect.decomposition import Line, Parts, Use, decompose
from streams.detect.words import one_line, percent, times, usd

_LEAST: Final = 0.2
"""Part of a rise below which a cause is no reason."""
_MOST: Final = 0.5
"""Part of it from which on one line is where to begin."""
_ALL: Final = 0.97


class Usage(NamedTuple):
    """What a team used through one tool and model in a stretch; money in micro-USD."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0
    unattributed: int = 0
    repeated: int = 0

    @property
    def repeated_cost(self) -> int:
        """As if each repeat cost as much as any request of the line."""
        return self.cost * self.repeated // self.requests if self.requests else 0


Stretch = Mapping[Line, Usage]


class Reason(NamedTuple):
    """One likely cause: the money that it explains, micro-USD, and what it says."""

    money: int
    text: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known of an alert beyond its own figures. All of it may be missing."""

    reasons: tuple[Reason, ...] = ()
    begin_with: str = ""
    """The tool and model that hold most of the rise."""
    chart: Chart | None = None


UNEXPLAINED: Final = Explained()


def of_usage(alert: Alert, now: Stretch, usual: Stretch) -> tuple[list[Reason], str]:
    """Reasons for a rise of what the alert judges, and the line to begin with, or nothing. `usual`: the same stretch of other weeks.

    A rule on spend without work items, or on repeats, looks at the money of these alone; any other at all spend.
    """
    money = _MONEY.get(alert.rule, _spend)
    rise = sum(map(money, now.values())) - sum(map(money, usual.values()))
    if rise <= 0:
        return [], ""
    where = _where(now, usual, money, rise)
    largest, named = _told(where, rise)
    most = where.money >= _MOST * rise
    found = [largest]
    if money is _spend:
        found += [reason for cause, reason in _causes(now, usual) if not (most and cause == named)]
        found += _without_items(now, usual) + _repeats(now, usual)
    begin_with = _place(where.line) if most else ""
    return ranked(reason for reason in found if reason.money >= _LEAST * rise), begin_with


def in_flight(items: int, cost: int, spend: int) -> list[Reason]:
    """Core work that is not completed yet: what it costs may pay off."""
    if not items or cost < _LEAST * spend:
        return []
    hold = "holds" if items == 1 else "hold"
    return [Reason(cost, f"core work in flight: {_items(items)} {hold} {usd(cost)} of it, which may still pay off")]


def low_value(types: Sequence[tuple[str, int, int]]) -> list[Reason]:
    """Of (item type, items, cost) of the low-value work that was completed: the largest."""
    whole = sum(cost for _, _, cost in types)
    return [
        Reason(cost, f"{percent(1000 * cost // whole)} of it: {_items(items)} of type {_name(kind)}, {usd(cost)}")
        for kind, items, cost in types
        if cost >= _LEAST * whole
    ]


def silence(teams: int, silent: int) -> list[Reason]:
    """Whether others are silent as well: then it is no matter of the team."""
    if teams < 2:
        return []
    if silent <= 1:
        return [Reason(0, f"only this team: the other {teams - 1} that were at work still send")]
    whose = ": rather the platform than the team" if 3 * silent >= teams else ""
    return [Reason(0, f"{silent} of {teams} teams that were at work fell silent{whose}")]


def ranked(found: Iterable[Reason]) -> list[Reason]:
    """The most money first."""
    return sorted(found, key=lambda reason: -reason.money)


def _spend(usage: Usage) -> int:
    return usage.cost


_MONEY: Final[Mapping[str, Callable[[Usage], int]]] = {
    "unattributed_surge": lambda usage: usage.unattributed,
    "repeated_prompts": lambda usage: usage.repeated_cost,
}
"""Of rules that are about a part of the spend: which part."""
_BY: Final[Sequence[Callable[[Line], Line]]] = (
    lambda line: line,
    lambda line: (line[0], ""),
    lambda line: ("", line[1]),
)
"""Tool and model together, then each alone: the first that holds most of a rise is told."""


class _Where(NamedTuple):
    """The line with the largest rise."""

    line: Line
    money: int
    now: Usage
    usual: Usage


def _where(now: Stretch, usual: Stretch, money: Callable[[Usage], int], rise: int) -> _Where:
    found = []
    for by in _BY:
        sums, before = _summed(now, by), _summed(usual, by)
        line = max(sums, key=lambda line: (money(sums[line]) - money(before.get(line, Usage())), line))
        was = before.get(line, Usage())
        found.append(_Where(line, money(sums[line]) - money(was), sums[line], was))
        if found[-1].money >= _MOST * rise:
            return found[-1]
    return found[0]


def _summed(stretch: Stretch, by: Callable[[Line], Line]) -> dict[Line, Usage]:
    sums: dict[Line, Usage] = {}
    for line, usage in stretch.items():
        sums[by(line)] = Usage(*map(sum, zip(sums.get(by(line), Usage()), usage, strict=True)))
    return sums


def _told(where: _Where, rise: int) -> tuple[Reason, str]:
    """What is said of that line, and the cause that this names already."""
    part = "all of the rise" if where.money >= _ALL * rise else f"{percent(1000 * where.money // rise)} of the rise"
    now, was = where.now, where.usual
    how, cause = "", ""
    if not was.requests:
        how, cause = ", not used at such times before", "volume"
    elif now.requests >= 2 * was.requests:
        how, cause = f", {times(now.requests, was.requests)} its usual requests", "volume"
    elif now.tokens * was.requests >= 2 * was.tokens * now.requests > 0:
        how, cause = (
            f", {times(now.tokens * was.requests, was.tokens * now.requests)} as many tokens a request",
            "intensity",
        )
    return Reason(where.money, f"{part}: {_place(where.line)} (+{usd(where.money)}){how}"), cause


def _causes(now: Stretch, usual: Stretch) -> list[tuple[str, Reason]]:
    before, after = ({line: Use(*usage[:3]) for line, usage in side.items()} for side in (usual, now))
    parts = decompose(before, after)
    requests = sum(use.requests for use in after.values()), sum(use.requests for use in before.values())
    says = {
        "volume": f"volume: {times(*requests)} the usual requests"
        if requests[1]
        else "volume: requests where there are usually none",
        "mix": "mix: requests went to tools and models that cost more a request",
        "intensity": f"intensity: requests of {_more(before, after, 0)} the usual tokens",
        "price": f"price: tokens at {_more(before, after, 1)} the usual price",
    }
    return [
        (cause, Reason(money, f"{says[cause]} (+{usd(money)})"))
        for cause, money in zip(Parts._fields, parts, strict=True)
    ]


def _more(before: Mapping[Line, Use], now: Mapping[Line, Use], below: int) -> str:
    """How many times as much a line's next figure is by its figure number `below`, on average by cost, of lines that were there before."""
    as_it_was, as_it_is = 0.0, 0
    for line, use in now.items():
        was = before.get(line, Use())
        if was[below] and was[below + 1] and use[below] and use[below + 1]:
            as_it_was += use.cost * (was[below + 1] / was[below]) / (use[below + 1] / use[below])
            as_it_is += use.cost
    return times(as_it_is, as_it_was)


def _without_items(now: Stretch, usual: Stretch) -> list[Reason]:
    without, was = (sum(usage.unattributed for usage in side.values()) for side in (now, usual))
    spend = sum(map(_spend, now.values()))
    if 10 * without < 3 * spend:
        return []
    share = percent(1000 * without // spend)
    return [Reason(without - was, f"{share} of the spend without a work item: {usd(without)}, usually {usd(was)}")]


def _repeats(now: Stretch, usual: Stretch) -> list[Reason]:
    cost, was = (sum(usage.repeated_cost for usage in side.values()) for side in (now, usual))
    count, before = (sum(usage.repeated for usage in side.values()) for side in (now, usual))
    return [Reason(cost - was, f"{count:,} prompts repeated, usually {before:,}: about {usd(cost)}")]


def _items(count: int) -> str:
    return f"{count:,} item" + "s" * (count != 1)


def _place(line: Line) -> str:
    tool, model = (_name(name) for name in line)
    return f"model {model} through {tool}" if all(line) else f"model {model}" if line[1] else f"tool {tool}"


def _name(name: str) -> str:
    return shortened(one_line(name), 60) or "without a name"
