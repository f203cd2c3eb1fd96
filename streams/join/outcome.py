"""The outcome of a work item: the fold of its events over open, completed and canceled, and the bookings that each change makes.

Source of every rule: VALUE.md §3, §8 and the table of DESIGN.md §5. A pure function of the item's events and ledger lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streams.join.allocation import allocate, dominant
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import DAY_US, OUTCOME_MEASURES

EVIDENCE_LINKS: Final = frozenset({"implements", "closes", "subtask_of"})
MATCHED_DAYS: Final = 14
"""Usage up to this many days after a completion or cancellation belongs to it."""

_STATE_AFTER: Final = {
    "completed": "completed",
    "canceled": "canceled",
    "deleted": "canceled",
    "moved": "canceled",
    "reopened": "open",
}
_AT: Final = {name: place for place, name in enumerate(OUTCOME_MEASURES)}
_VALUE: Final = {
    side: (f"value_{side}_milli", f"assisted_value_{side}_milli", f"matched_tokens_{side}", f"matched_standard_cost_micro_usd_{side}")
    for side in ("credited", "debited")
}  # fmt: skip
"""The measures of a completion: value, assisted value, tokens and cost."""

ToolModel = tuple[str, str]


class ItemEvent(NamedTuple):
    """A work-item event as the fold needs it; sorts by (occurred_at us, event_id)."""

    occurred_at: int
    event_id: str
    kind: str
    team: str
    item_type: str
    labels: tuple[str, ...]
    size_milli: int
    parent_id: str
    link_type: str
    link_value: str


class Line(NamedTuple):
    """A ledger line: usage of one day (days since 1970), team, tool and model within the item."""

    usage_day: int
    team: str
    tool: str
    model: str
    requests: int
    known_requests: int
    incomplete_events: int
    tokens: int
    standard_cost_micro_usd: int


class Booking(NamedTuple):
    """What an item adds to the pane of `at` (us) at one (team, tool, model, work_class); amounts in the order of OUTCOME_MEASURES."""

    at: int
    kind: str
    team: str
    tool: str
    model: str
    work_class: str
    amounts: tuple[int, ...]


class Attributes(NamedTuple):
    """What decides an item's value; frozen at its first completion."""

    item_type: str = ""
    labels: tuple[str, ...] = ()
    parent_id: str = ""
    team: str = ""
    size_milli: int = 0

    def reclassified(self, event: ItemEvent) -> Attributes:
        return self._replace(
            item_type=event.item_type or self.item_type,
            labels=event.labels or self.labels,
            parent_id=event.parent_id or self.parent_id,
            team=event.team or self.team,
        )


NO_ATTRIBUTES: Final = Attributes()


class Credit(NamedTuple):
    """The value of one completion and the usage matched to it."""

    team: str
    rule: int
    work_class: str
    container: bool
    assistance: str
    value_milli: int
    value_assisted: bool
    allocation: dict[ToolModel, int]
    dominant: ToolModel
    matched: dict[ToolModel, tuple[int, int]]


@dataclass(slots=True)
class Outcome:
    """An item as it stands after all its events; times in us, 0 = none."""

    state: str = "open"
    attributes: Attributes = NO_ATTRIBUTES
    rule: int = 0
    work_class: str = ""
    assistance: str = ""
    value_milli: int = 0
    value_assisted: bool = False
    container: bool = False
    evidence: bool = False
    started_at: int = 0
    first_completed_at: int = 0
    completed_at: int = 0
    canceled_at: int = 0
    bookings: list[Booking] = field(default_factory=list)


def fold(
    work_item_id: str, events: Sequence[ItemEvent], lines: Sequence[Line], rules: Rules, prices: PriceBook
) -> Outcome:
    """Fold an item's events (sorted) with its ledger lines. Without events it is no item: open, without bookings."""
    if not events:
        return Outcome()
    return _Fold(work_item_id, events, lines, rules, prices).run()


class _Fold:
    def __init__(
        self, work_item_id: str, events: Sequence[ItemEvent], lines: Sequence[Line], rules: Rules, prices: PriceBook
    ) -> None:
        self.work_item_id, self.events, self.lines, self.rules, self.prices = work_item_id, events, lines, rules, prices
        self.out = Outcome()
        self.first_start = next((i for i, (_, _, kind, *_) in enumerate(events) if kind == "started"), -1)
        self.evidence = False
        self.frozen: Attributes | None = None
        self.credit: Credit | None = None
        self.credited_by = 0
        self.abandoned: tuple[str, dict[ToolModel, tuple[int, int]]] = ("", {})

    def run(self) -> Outcome:
        out = self.out
        out.started_at = self.events[self.first_start].occurred_at if self.first_start >= 0 else 0
        for i, event in enumerate(self.events):
            if event.kind == "linked" and event.link_type in EVIDENCE_LINKS and event.link_value != self.work_item_id:
                self._become_evidence(event)
            elif event.kind == "reclassified":
                self._reclassify(event)
            elif (after := _state_after(event)) and after != out.state:
                self._change(i, event, after)
        self._describe()
        return out

    def _become_evidence(self, event: ItemEvent) -> None:
        self.evidence = True
        if self.out.state == "completed" and self.credit and self.credit.value_milli:
            self._book_debit(event)
            self.credit = self._credit()

    def _reclassify(self, event: ItemEvent) -> None:
        if (
            self.frozen is None
        ):  # before the first completion the attributes are still open: _attributes reads this event too
            return
        self.frozen = self.frozen.reclassified(event)
        if self.out.state == "completed":
            self._book_debit(event)
            self.credit = self._credit()
            self._book_credit(event)

    def _change(self, i: int, event: ItemEvent, after: str) -> None:
        out = self.out
        if out.state == "completed":
            self._book_debit(event)
            if after == "open":
                assert self.credit is not None
                self._book(event.occurred_at, "debit", self.credit.team, "", "", "", items_reopened=1)
            out.completed_at = 0
        elif out.state == "canceled":
            self._book_abandonment(event, "reversal", "reversed")
            out.canceled_at = 0
        if after == "completed":
            if self.frozen is None:
                self.frozen = self._attributes(i)
                out.first_completed_at = event.occurred_at
            self.credited_by = i
            self.credit = self._credit()
            self._book_credit(event)
            out.completed_at = event.occurred_at
        elif after == "canceled":
            attributes = self.frozen or self._attributes(len(self.events) - 1)
            self.abandoned = (attributes.team, self._matched(event.occurred_at // DAY_US))
            self._book_abandonment(event, "abandon", "booked")
            self._book(event.occurred_at, "abandon", attributes.team, "", "", "", items_canceled=1)
            out.canceled_at = event.occurred_at
        out.state = after

    def _attributes(self, upto: int) -> Attributes:
        """Last non-empty attributes of events[: upto + 1]; the size is that of the last event at or before the first start, else the first."""
        item_type, parent_id, team, size, first_size = "", "", "", 0, 0
        labels: tuple[str, ...] = ()
        for i, e in enumerate(self.events[: upto + 1]):
            item_type, labels = e.item_type or item_type, e.labels or labels
            parent_id, team = e.parent_id or parent_id, e.team or team
            if e.size_milli:
                first_size = first_size or e.size_milli
                if i <= self.first_start:
                    size = e.size_milli
        return Attributes(item_type, labels, parent_id, team, size or first_size)

    def _matched(self, day: int) -> dict[ToolModel, tuple[int, int]]:
        """(tokens, standard cost) by (tool, model) of the lines up to 14 days after `day`."""
        out: dict[ToolModel, tuple[int, int]] = {}
        for line in self.lines:
            if line.usage_day <= day + MATCHED_DAYS:
                key = (line.tool, line.model)
                tokens, cost = out.get(key, (0, 0))
                out[key] = (tokens + line.tokens, cost + line.standard_cost_micro_usd)
        return out

    def _credit(self) -> Credit:
        """The credit of the completion `credited_by`, with the attributes and the evidence known now."""
        assert self.frozen is not None
        completed_at = self.events[self.credited_by].occurred_at
        day = completed_at // DAY_US
        assistance = self._assistance(day)
        rules = self.rules.at(completed_at)
        match = rules.match(
            self.frozen.item_type,
            self.frozen.labels,
            evidence=self.evidence,
            worked=assistance != "closed_without_work",
        )
        excluded = match.container or self.evidence or assistance == "closed_without_work"
        value = 0 if excluded else rules.value_milli(match, self.frozen.size_milli, self.frozen.team)
        matched, complete = self._matched(day), True
        weights = {("", ""): 1}
        if assistance not in ("unassisted", "closed_without_work"):
            cost = {key: cost for key, (_, cost) in matched.items()}
            requests = dict.fromkeys(cost, 0)
            for line in self.lines:
                if line.usage_day <= day + MATCHED_DAYS:
                    requests[line.tool, line.model] += line.requests
                    complete = complete and not line.incomplete_events
            if any(cost.values()):
                weights = cost
            elif any(requests.values()):
                weights = requests
        return Credit(
            team=self.frozen.team,
            rule=match.rule,
            work_class="excluded" if excluded else match.work_class,
            container=match.container,
            assistance=assistance,
            value_milli=value,
            value_assisted=assistance == "assisted" and complete,
            allocation=allocate(value, weights),
            dominant=dominant(weights),
            matched=matched,
        )

    def _assistance(self, day: int) -> str:
        requests = known = cost = 0
        for line in self.lines:
            if line.usage_day <= day:
                requests += line.requests
                known += line.known_requests
                cost += line.standard_cost_micro_usd
        if requests and not known:
            return "assisted_unknown"
        if requests >= 3 and cost >= self.prices.assisted_cost_micro_usd:
            return "assisted"
        if requests:
            return "lightly_assisted"
        worked = any(e.kind in ("started", "linked") for e in self.events[: self.credited_by + 1])
        return "unassisted" if worked else "closed_without_work"

    def _book(self, at: int, kind: str, team: str, tool: str, model: str, work_class: str, **amounts: int) -> None:
        row = [0] * len(OUTCOME_MEASURES)
        for name, amount in amounts.items():
            row[_AT[name]] = amount
        if any(row):
            self.out.bookings.append(Booking(at, kind, team, tool, model, work_class, tuple(row)))

    def _book_value(self, at: int, kind: str, side: str, counts: dict[str, int]) -> None:
        credit = self.credit
        assert credit is not None
        for tool, model in sorted({*credit.allocation, *credit.matched, credit.dominant}):
            value = credit.allocation.get((tool, model), 0)
            matched = credit.matched.get((tool, model), (0, 0))
            amounts = dict(zip(_VALUE[side], (value, value * credit.value_assisted, *matched), strict=True))
            if (tool, model) == credit.dominant:
                amounts |= counts
            self._book(at, kind, credit.team, tool, model, credit.work_class, **amounts)

    def _book_credit(self, event: ItemEvent) -> None:
        credit = self.credit
        assert credit is not None
        counts = {}
        if credit.work_class != "excluded":
            counts = {"items_completed": 1, f"items_{credit.assistance}": 1}
        elif credit.assistance == "closed_without_work" and not (credit.container or self.evidence):
            counts = {"items_closed_without_work": 1}
        self._book_value(event.occurred_at, "credit", "credited", counts)

    def _book_debit(self, event: ItemEvent) -> None:
        self._book_value(event.occurred_at, "debit", "debited", {})

    def _book_abandonment(self, event: ItemEvent, kind: str, side: str) -> None:
        team, lines = self.abandoned
        for (tool, model), (tokens, cost) in sorted(lines.items()):
            amounts = {f"abandoned_tokens_{side}": tokens, f"abandoned_standard_cost_micro_usd_{side}": cost}
            self._book(event.occurred_at, kind, team, tool, model, "", **amounts)

    def _describe(self) -> None:
        """The item as it stands: of the credit in force, else of the class that it would have."""
        out, last = self.out, self.events[-1]
        out.attributes = self.frozen or self._attributes(len(self.events) - 1)
        out.evidence = self.evidence
        out.assistance = self.credit.assistance if self.credit else ""
        if out.state == "completed" and self.credit:
            credit = self.credit
            out.rule, out.work_class, out.container = credit.rule, credit.work_class, credit.container
            out.value_milli, out.value_assisted = credit.value_milli, credit.value_assisted
            return
        match = self.rules.at(last.occurred_at).match(
            out.attributes.item_type, out.attributes.labels, evidence=self.evidence, worked=True
        )
        out.rule, out.container = match.rule, match.container
        out.work_class = "excluded" if match.container or self.evidence else match.work_class


def counts_usage(event: ItemEvent) -> bool:
    """Whether after this event the outcome of an item may depend on its usage: it was completed or canceled."""
    return _state_after(event) in ("completed", "canceled")


def _state_after(event: ItemEvent) -> str | None:
    if event.kind == "linked" and event.link_type == "duplicates":
        return "canceled"
    return _STATE_AFTER.get(event.kind)
