"""What became of each work item: the fold of its events, and its bookings (DESIGN.md §5, VALUE.md §3, §8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.oracle.ledger import DAY_US, Line, LineKey
from tests.oracle.value import (
    Event,
    PriceLine,
    RuleLine,
    Verdict,
    assisted_cost,
    match_rule,
    reference_size,
    value_of,
)

AFTER_CLOSE_DAYS = 14
EVIDENCE_LINKS = {"subtask_of", "implements", "closes"}
CLOSING = {"canceled", "deleted", "moved"}

UNDECIDED = Verdict(0, "", 0, False, "")

ToolModel = tuple[str, str]


@dataclass(frozen=True)
class Attributes:
    """What the rules look at. `size_milli` 0 means unsized."""

    item_type: str = ""
    labels: tuple[str, ...] = ()
    parent_id: str = ""
    team: str = ""
    size_milli: int = 0


@dataclass(frozen=True)
class Booking:
    """What one transition adds to the pane of its time; only measures that are not 0."""

    at: int
    kind: str
    team: str
    tool: str
    model: str
    work_class: str
    measures: dict[str, int]


@dataclass(frozen=True)
class Credit:
    """A credit in full: what it booked, so that a debit can repeat it, and what it decided."""

    at: int
    verdict: Verdict
    assistance: str
    value_milli: int
    value_assisted: bool
    bookings: tuple[Booking, ...]


@dataclass
class Item:
    """A work item as of its last event. Times are microseconds UTC, 0: never. `credit` is the one in force."""

    tenant: str
    work_item_id: str
    attributes: Attributes
    state: str = "open"
    evidence: bool = False
    verdict: Verdict = UNDECIDED
    assistance: str = ""
    credit: Credit | None = None
    first_event_at: int = 0
    last_event_at: int = 0
    last_usage_at: int = 0
    started_at: int = 0
    first_completed_at: int = 0
    completed_at: int = 0
    canceled_at: int = 0
    bookings: list[Booking] = field(default_factory=list)


def size_of(event: Event) -> int:
    """The usable size of an event in milli-points, else 0."""
    size = event["size_milli"]
    return size if size is not None and 1 <= size <= 1_000_000 else 0


def _taken_over(attributes: Attributes, event: Event) -> Attributes:
    """The attributes after an event that names some: what it leaves empty stays."""
    return replace(
        attributes,
        item_type=event["item_type"] or attributes.item_type,
        labels=tuple(event["labels"]) or attributes.labels,
        parent_id=event["parent_id"] or attributes.parent_id,
        team=event["team"] or attributes.team,
    )


def _attributes(history: Sequence[Event], until: int) -> Attributes:
    """The last attributes named up to a place in the history; the size is that of the last event up to the first start of
    all, else the first size seen."""
    starts = [index for index, event in enumerate(history) if event["kind"] == "started"]
    attributes = Attributes()
    for index, event in enumerate(history[: until + 1]):
        attributes = _taken_over(attributes, event)
        if size_of(event) and (attributes.size_milli == 0 or (starts and index <= starts[0])):
            attributes = replace(attributes, size_milli=size_of(event))
    return attributes


def allocate(value: int, weights: Mapping[ToolModel, int]) -> dict[ToolModel, int]:
    """A whole number split by weight with the largest remainder method; ties go to the smaller UTF-8 bytes."""
    total = sum(weights.values())
    shares = {place: value * weight // total for place, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda place: (-(value * weights[place] % total), _bytes(place)))
    for place in by_remainder[: value - sum(shares.values())]:
        shares[place] += 1
    return shares


def _bytes(place: ToolModel) -> tuple[bytes, bytes]:
    return place[0].encode(), place[1].encode()


def _weights(lines: Mapping[LineKey, Line]) -> dict[ToolModel, int]:
    """What a credit's value is split by: standard cost, or requests when nothing cost anything."""
    for name in ("standard_cost_micro_usd", "requests"):
        weights: dict[ToolModel, int] = defaultdict(int)
        for key, line in lines.items():
            weights[key.tool, key.model] += line.measures[name]
        if sum(weights.values()) > 0:
            return dict(weights)
    return {}


class Fold:
    """The fold of one item's events over open, completed, canceled. `lines` are the item's own."""

    def __init__(
        self,
        history: Sequence[Event],
        lines: Mapping[LineKey, Line],
        prices: Sequence[PriceLine],
        rules: Sequence[RuleLine],
    ) -> None:
        self.history = sorted(history, key=lambda event: (event["occurred_at"], event["event_id"]))
        self.lines, self.prices, self.rules = lines, prices, rules
        self.completion = 0
        self.abandoned: list[Booking] = []
        first, last = self.history[0], self.history[-1]
        self.item = Item(
            tenant=first["tenant"],
            work_item_id=first["work_item_id"],
            attributes=_attributes(self.history, len(self.history) - 1),
            first_event_at=first["occurred_at"],
            last_event_at=last["occurred_at"],
            last_usage_at=max((line.last_at for line in lines.values()), default=0),
            started_at=next((event["occurred_at"] for event in self.history if event["kind"] == "started"), 0),
        )

    def run(self) -> Item:
        """Apply every event in fold order."""
        for index, event in enumerate(self.history):
            self._apply(index, event)
        item = self.item
        if item.credit is not None:
            item.verdict = item.credit.verdict
        else:
            item.verdict = self._verdict(item.last_event_at, worked_on=True)
        return item

    def _apply(self, index: int, event: Event) -> None:
        item, at = self.item, event["occurred_at"]
        kind, link = event["kind"], event["link_type"]
        if kind == "reclassified" and item.first_completed_at:
            item.attributes = _taken_over(item.attributes, event)
        if kind == "completed" and item.state != "completed":
            self._reverse(at)
            item.state, item.completed_at, item.canceled_at = "completed", at, 0
            if not item.first_completed_at:
                item.first_completed_at, item.attributes = at, _attributes(self.history, index)
            self.completion = index
            self._credit(at)
        elif (kind in CLOSING or (kind == "linked" and link == "duplicates")) and item.state != "canceled":
            self._debit(at)
            item.state, item.completed_at, item.canceled_at = "canceled", 0, at
            self._abandon(at)
        elif kind == "reopened" and item.state == "completed":
            self._debit(at)
            item.state, item.completed_at = "open", 0
            item.bookings.append(Booking(at, "reopened", item.attributes.team, "", "", "", {"items_reopened": 1}))
        elif kind == "reopened" and item.state == "canceled":
            self._reverse(at)
            item.state, item.canceled_at = "open", 0
        elif kind == "reclassified" and item.state == "completed":
            self._debit(at)
            self._credit(at)
        elif kind == "linked" and link in EVIDENCE_LINKS and event["link_value"] != item.work_item_id:
            item.evidence = True
            if item.credit is not None and item.credit.value_milli:
                self._debit(at)
                self._credit(at, book=False)

    def _until(self, day: int) -> dict[LineKey, Line]:
        return {key: line for key, line in self.lines.items() if key.day <= day}

    def _verdict(self, at: int, *, worked_on: bool) -> Verdict:
        attributes = self.item.attributes
        return match_rule(
            self.rules,
            at,
            item_type=attributes.item_type,
            labels=attributes.labels,
            evidence=self.item.evidence,
            worked_on=worked_on,
        )

    def _assistance(self, at: int) -> str:
        """How much AI had to do with the item by the end of the day of its completion."""
        by_now = self._until(at // DAY_US).values()
        requests = sum(line.measures["requests"] for line in by_now)
        known = sum(line.measures["known_requests"] for line in by_now)
        cost = sum(line.measures["standard_cost_micro_usd"] for line in by_now)
        if requests and not known:
            return "assisted_unknown"
        if requests >= 3 and cost >= assisted_cost(self.prices):
            return "assisted"
        if requests:
            return "lightly_assisted"
        if any(event["kind"] in {"started", "linked"} for event in self.history[: self.completion + 1]):
            return "unassisted"
        return "closed_without_work"

    def _credit(self, at: int, *, book: bool = True) -> None:
        """Book the completion in force at a time: its own, or that of a reclassification. After a late link it is only remembered."""
        item, done = self.item, self.item.completed_at
        assistance = self._assistance(done)
        verdict = self._verdict(done, worked_on=assistance != "closed_without_work")
        value = value_of(verdict, item.attributes.size_milli, reference_size(self.rules, item.attributes.team, done))
        matched = self._until(done // DAY_US + AFTER_CLOSE_DAYS)
        weights = _weights(matched) if assistance not in {"unassisted", "closed_without_work"} else {}
        shares = allocate(value, weights) if weights else {("", ""): value}
        dominant = min(weights, key=lambda place: (-weights[place], _bytes(place)), default=("", ""))
        whole = all(line.measures["incomplete_events"] == 0 for line in matched.values())
        value_assisted = assistance == "assisted" and whole

        sums: dict[ToolModel, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for key, line in matched.items():
            place = sums[key.tool, key.model]
            place["matched_tokens_credited"] += line.measures["tokens"]
            place["matched_standard_cost_micro_usd_credited"] += line.measures["standard_cost_micro_usd"]
        for where, share in shares.items():
            sums[where]["value_credited_milli"] += share
            sums[where]["assisted_value_credited_milli"] += share if value_assisted else 0
        if verdict.kind == "closed_without_work":
            sums[dominant]["items_closed_without_work"] += 1
        elif verdict.work_class != "excluded":
            sums[dominant]["items_completed"] += 1
            sums[dominant][f"items_{assistance}"] += 1
        bookings = self._booked(at, "credit", verdict.work_class, sums)
        if book:
            item.bookings += bookings
        item.assistance = assistance
        item.credit = Credit(at, verdict, assistance, value, value_assisted, tuple(bookings))

    def _debit(self, at: int) -> None:
        """Take the credit in force back, exactly as it was booked. Without one there is nothing to take back."""
        if self.item.credit is None:
            return
        for booking in self.item.credit.bookings:
            amounts = {name: n for name, n in booking.measures.items() if not name.startswith("items_")}
            measures = {name.replace("credited", "debited"): n for name, n in amounts.items()}
            if measures:
                self.item.bookings.append(replace(booking, at=at, kind="debit", measures=measures))
        self.item.credit = None

    def _abandon(self, at: int) -> None:
        sums: dict[ToolModel, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for key, line in self._until(at // DAY_US + AFTER_CLOSE_DAYS).items():
            place = sums[key.tool, key.model]
            place["abandoned_tokens_booked"] += line.measures["tokens"]
            place["abandoned_standard_cost_micro_usd_booked"] += line.measures["standard_cost_micro_usd"]
        self.abandoned = self._booked(at, "abandon", "", sums)
        sums = {("", ""): {"items_canceled": 1}}
        self.item.bookings += self.abandoned + self._booked(at, "abandon", "", sums)

    def _reverse(self, at: int) -> None:
        """Take the abandonment in force back; nothing outside of state canceled."""
        for booking in self.abandoned:
            measures = {name.replace("booked", "reversed"): n for name, n in booking.measures.items()}
            self.item.bookings.append(replace(booking, at=at, kind="reversal", measures=measures))
        self.abandoned = []

    def _booked(
        self, at: int, kind: str, work_class: str, sums: Mapping[ToolModel, Mapping[str, int]]
    ) -> list[Booking]:
        """One booking for each (tool, model) that has a measure other than 0."""
        found = []
        for (tool, model), measures in sorted(sums.items(), key=lambda entry: _bytes(entry[0])):
            kept = {name: amount for name, amount in measures.items() if amount}
            if kept:
                found.append(Booking(at, kind, self.item.attributes.team, tool, model, work_class, kept))
        return found


def fold_items(
    events: Sequence[Event], lines: Mapping[LineKey, Line], prices: Sequence[PriceLine], rules: Sequence[RuleLine]
) -> dict[tuple[str, str], Item]:
    """Every item that an event names, by (tenant, work item)."""
    histories: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        histories[event["tenant"], event["work_item_id"]].append(event)
    own: dict[tuple[str, str], dict[LineKey, Line]] = defaultdict(dict)
    for key, line in lines.items():
        own[key.tenant, key.work_item_id][key] = line
    return {name: Fold(history, own[name], prices, rules).run() for name, history in histories.items()}
