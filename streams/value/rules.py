"""Value rules: which class of work an item is and what it is worth (VALUE.md §4, exact in §8). Effective-dated, immutable once in force."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from streams.errors import ConfigError
from streams.value.documents import FIRST_EVENT_US, Document, Row, refuse_short_notice, shipped, show_instant

WorkClass = Literal["core", "supporting", "low_value", "excluded"]
RuleKind = Literal["container", "evidence", "closed_without_work", "match", "unclassified"]

EXCLUDING: Final = ("container", "evidence", "closed_without_work")
MAX_SIZE_MILLI: Final = 1_000_000
ROW: Final = ("kind", "rule", "patterns", "base_milli", "sized", "work_class")
CACHED_MATCHES: Final = 65_536
"""Labels are free text: an unbounded cache would grow with them for as long as a worker lives."""


class Match(NamedTuple):
    """What the rules say about an item. `rule` is the number in the table, `label` the label that overrode its class, or ''."""

    rule: int
    base_milli: int
    sized: bool
    work_class: WorkClass
    kind: RuleKind
    label: str = ""

    @property
    def container(self) -> bool:
        return self.kind == "container"

    @property
    def excluded(self) -> bool:
        return self.work_class == "excluded"

    @property
    def unclassified(self) -> bool:
        """No rule knew the item, and no label said what it is."""
        return self.kind == "unclassified" and not self.label


def normal(text: str) -> str:
    """The form in which item types, labels and patterns are compared."""
    return text.casefold().replace("-", " ").replace("_", " ")


@dataclass(frozen=True, slots=True)
class ValueRule:
    """One row of the table. `patterns` are normal; only container and match have any."""

    number: int
    kind: RuleKind
    patterns: tuple[str, ...]
    base_milli: int
    sized: bool
    work_class: WorkClass

    def match(self, label: str = "") -> Match:
        return Match(self.number, self.base_milli, self.sized, self.work_class, self.kind, label)


@dataclass(frozen=True, slots=True)
class LabelValue:
    """A label that overrides the class of any item that is not excluded and not a revert."""

    label: str
    base_milli: int
    work_class: WorkClass


@dataclass(frozen=True)
class RuleSet:
    """All rules that come into force at one instant.

    `reference_milli` maps a team to the size of its typical item in milli-points, '' to that of every other team.
    Raises ConfigError, naming `source` and the rule, when the set is contradictory.
    """

    effective_from: int
    rules: tuple[ValueRule, ...]
    labels: tuple[LabelValue, ...]
    reference_milli: Mapping[str, int]
    source: str = field(default="value_rules", compare=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "rules", tuple(sorted(self.rules, key=attrgetter("number"))))
        # The strongest claim wins when an item carries two of these labels; an order that the rows of the table can carry.
        set_(self, "labels", tuple(sorted(self.labels, key=lambda entry: (-entry.base_milli, entry.label))))
        self._validate()
        exact: dict[str, int] = {}
        prefixes: list[tuple[str, int]] = []
        for rank, rule in enumerate(self.rules):
            for pattern in rule.patterns:
                if pattern.endswith("*"):
                    prefixes.append((pattern[:-1], rank))
                else:
                    exact[pattern] = rank
        by_kind = {rule.kind: rank for rank, rule in enumerate(self.rules)}
        set_(self, "_exact", exact)
        set_(self, "_prefixes", tuple(prefixes))
        set_(self, "_evidence", self.rules[by_kind["evidence"]].match())
        set_(self, "_closed", self.rules[by_kind["closed_without_work"]].match())
        set_(self, "_closed_rank", by_kind["closed_without_work"])
        set_(self, "_cache", {})

    _exact: dict[str, int] = field(init=False, repr=False, compare=False)
    _prefixes: tuple[tuple[str, int], ...] = field(init=False, repr=False, compare=False)
    _evidence: Match = field(init=False, repr=False, compare=False)
    _closed: Match = field(init=False, repr=False, compare=False)
    _closed_rank: int = field(init=False, repr=False, compare=False)
    _cache: dict[tuple[str, tuple[str, ...]], Match] = field(init=False, repr=False, compare=False)

    def _refuse(self, entry: str, problem: str, remedy: str) -> None:
        raise ConfigError(self.source, f"{entry}: {problem}", remedy=remedy)

    def _validate(self) -> None:
        owner: dict[str, int] = {}
        first_match = min((rule.number for rule in self.rules if rule.kind == "match"), default=0)
        for rule in self.rules:
            entry = f"rule {rule.number}"
            if sum(other.number == rule.number for other in self.rules) > 1:
                self._refuse(entry, "the number is used twice", "number the rules in the order in which they are tried")
            if not 1 <= rule.number <= 65_535:
                self._refuse(entry, "the number is out of range", "number the rules from 1")
            if not 0 <= rule.base_milli <= 1_000_000:
                self._refuse(
                    entry,
                    f"value {rule.base_milli} milli is out of range",
                    "a value lies between 0 and 1000 typical items",
                )
            if (rule.work_class == "excluded") != (rule.kind in EXCLUDING):
                self._refuse(
                    entry,
                    f"kind {rule.kind} cannot have class {rule.work_class}",
                    f"excluded goes with {', '.join(EXCLUDING)}",
                )
            if rule.kind in EXCLUDING and (rule.base_milli or rule.sized):
                self._refuse(entry, "excluded work has no value", "set value = 0 and leave sized out")
            if bool(rule.patterns) != (rule.kind in ("container", "match")):
                self._refuse(
                    entry,
                    f"kind {rule.kind} {'takes no' if rule.patterns else 'needs'} patterns",
                    "patterns belong to container and match",
                )
            if rule.kind in ("container", "evidence") and first_match and rule.number > first_match:
                self._refuse(
                    entry, f"{rule.kind} stands after a match", "put container and evidence before the first match"
                )
            for pattern in rule.patterns:
                if not pattern.rstrip("*") or "*" in pattern[:-1] or pattern != normal(pattern):
                    self._refuse(entry, f"pattern {pattern!r} cannot match", "use plain words, with * only at the end")
                if pattern in owner:
                    self._refuse(
                        entry,
                        f"pattern {pattern!r} is already in rule {owner[pattern]}",
                        "keep it in one rule: the first one wins",
                    )
                owner[pattern] = rule.number
        for kind in ("evidence", "closed_without_work", "unclassified"):
            if sum(rule.kind == kind for rule in self.rules) != 1:
                self._refuse(
                    "rules",
                    f"there must be exactly one rule of kind {kind}",
                    "see `tokenworth rules show` for a complete set",
                )
        if self.rules[-1].kind != "unclassified":
            self._refuse(
                f"rule {self.rules[-1].number}",
                "stands after unclassified, which takes everything",
                "give unclassified the last number",
            )
        for label in self.labels:
            if (
                label.work_class == "excluded"
                or label.label != normal(label.label)
                or not 0 <= label.base_milli <= 1_000_000
            ):
                self._refuse(
                    f"label {label.label}",
                    "is not usable",
                    "a label has a value and one of core, supporting, low_value",
                )
        if "" not in self.reference_milli:
            self._refuse("reference_points", "is missing", "set reference_points = 3, the size of a typical item")
        for team, milli in self.reference_milli.items():
            if not 1 <= milli <= MAX_SIZE_MILLI:
                self._refuse(
                    f"reference of team {team!r}", f"{milli} milli-points is out of range", "use 0.001 to 1000 points"
                )

    def match(self, item_type: str, labels: Sequence[str], *, evidence: bool, worked: bool) -> Match:
        """The rule for an item. `evidence`: it has a link subtask_of, implements or closes; `worked`: it was started, linked or used.

        The reasons to exclude an item come before the table's other rules, so a revert that nobody worked on is closed_without_work.
        """
        key = (item_type, tuple(labels))
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= CACHED_MATCHES:
                self._cache.clear()
            found = self._cache[key] = self._look_up(*key)
        if found.kind == "container":
            return found
        if evidence:
            return self._evidence
        return found if worked else self._closed

    def _look_up(self, item_type: str, labels: tuple[str, ...]) -> Match:
        texts = [normal(label) for label in labels]
        rank = min(self._rank(text) for text in (normal(item_type), *texts))
        rule = self.rules[rank]
        if rank > self._closed_rank:
            for override in self.labels:
                if override.label in texts:
                    return Match(
                        rule.number, override.base_milli, False, override.work_class, rule.kind, override.label
                    )
        return rule.match()

    def _rank(self, text: str) -> int:
        rank = self._exact.get(text, len(self.rules) - 1)
        for prefix, other in self._prefixes:
            if other < rank and text.startswith(prefix):
                rank = other
        return rank

    def value_milli(self, match: Match, size_milli: int | None, team: str) -> int:
        """Value of one completion, rounded half-up once. A size outside 1..1,000,000 milli-points is no size."""
        base = match.base_milli
        if not (match.sized and size_milli and 1 <= size_milli <= MAX_SIZE_MILLI):
            return base
        reference = self.reference_milli.get(team) or self.reference_milli[""]
        if 3 * size_milli < reference:
            return (2 * base + 3) // 6
        if 3 * size_milli > 8 * reference:
            return (16 * base + 3) // 6
        return (2 * base * size_milli + reference) // (2 * reference)

    def check_effective(self, now_us: int) -> None:
        """ConfigError if the set would come into force less than an hour after `now_us`."""
        refuse_short_notice(self.source, self.effective_from, now_us)

    def rows_for_tables(self) -> list[Row]:
        """Rows of table value_rules."""

        rules = [(r.kind, r.number, list(r.patterns), r.base_milli, int(r.sized), r.work_class) for r in self.rules]
        labels = [("label", 0, [entry.label], entry.base_milli, 0, entry.work_class) for entry in self.labels]
        references = [("reference", 0, [team], milli, 0, "") for team, milli in sorted(self.reference_milli.items())]
        return [
            {"effective_from": self.effective_from, **dict(zip(ROW, row, strict=True))}
            for row in (*rules, *labels, *references)
        ]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> RuleSet:
        """The set of rows that share one effective_from, read with FINAL; `effective_from` in micro-seconds."""
        all_rows = list(rows)
        return cls(
            effective_from=all_rows[0]["effective_from"],
            rules=tuple(
                ValueRule(
                    r["rule"], r["kind"], tuple(r["patterns"]), r["base_milli"], bool(r["sized"]), r["work_class"]
                )
                for r in all_rows
                if r["kind"] not in ("label", "reference")
            ),
            labels=tuple(
                LabelValue(r["patterns"][0], r["base_milli"], r["work_class"]) for r in all_rows if r["kind"] == "label"
            ),
            reference_milli={r["patterns"][0]: r["base_milli"] for r in all_rows if r["kind"] == "reference"},
        )

    @classmethod
    def from_toml(cls, text: str, file: str) -> RuleSet:
        """The set of a document such as default_rules.toml. `file` names it in errors."""
        doc = Document(text, file)
        doc.only(
            doc.table,
            "document",
            frozenset({"effective_from", "reference_points", "team_reference_points", "label", "rule"}),
        )
        references = {"": doc.scaled(doc.table.get("reference_points"), 1000, "document", "reference_points")}
        for team, points in doc.section("team_reference_points").items():
            references[team] = doc.scaled(points, 1000, f"team_reference_points.{team}", "points")
        labels = []
        for entry in doc.tables("label"):
            name = doc.text(entry, "name", "label")
            doc.only(entry, f"label {name}", frozenset({"name", "value", "class"}))
            value = doc.scaled(entry.get("value"), 1000, f"label {name}", "value")
            labels.append(LabelValue(normal(name), value, _work_class(doc, entry, f"label {name}")))
        return cls(
            effective_from=doc.instant(doc.table, "effective_from", "document"),
            rules=tuple(_rule(doc, entry) for entry in doc.tables("rule")),
            labels=tuple(labels),
            reference_milli=references,
            source=file,
        )

    @classmethod
    def shipped(cls) -> RuleSet:
        return cls.from_toml(shipped("default_rules.toml"), "default_rules.toml")


def _work_class(doc: Document, entry: Mapping[str, Any], where: str) -> WorkClass:
    value = doc.text(entry, "class", where)
    if value not in get_args(WorkClass):
        doc.refuse(where, f"unknown class {value!r}", f"use one of {', '.join(get_args(WorkClass))}")
    return cast("WorkClass", value)


def _rule(doc: Document, entry: Mapping[str, Any]) -> ValueRule:
    number = entry.get("number")
    if not isinstance(number, int):
        doc.refuse(
            f"rule {number}", "number is missing", "number the rules from 1, in the order in which they are tried"
        )
    where = f"rule {number}"
    doc.only(entry, where, frozenset({"number", "kind", "match", "value", "sized", "class"}))
    kind = doc.text(entry, "kind", where, "match")
    if kind not in get_args(RuleKind):
        doc.refuse(where, f"unknown kind {kind!r}", f"use one of {', '.join(get_args(RuleKind))}")
    sized = entry.get("sized", False)
    if not isinstance(sized, bool):
        doc.refuse(where, "sized is not true or false", "write sized = true, without quotes")
    return ValueRule(
        number=number,
        kind=cast("RuleKind", kind),
        patterns=tuple(normal(pattern) for pattern in doc.texts(entry, "match", where)),
        base_milli=doc.scaled(entry.get("value"), 1000, where, "value"),
        sized=sized,
        work_class=_work_class(doc, entry, where),
    )


class Rules:
    """All rule sets; the one in force at the completion applies. Raises ConfigError if some event would have none."""

    def __init__(self, sets: Iterable[RuleSet]) -> None:
        self.sets = tuple(sorted(sets, key=attrgetter("effective_from")))
        self._from = [entry.effective_from for entry in self.sets]
        if not self.sets or self._from[0] > FIRST_EVENT_US:
            raise ConfigError(
                "value_rules",
                f"no rules in force on {show_instant(FIRST_EVENT_US)}",
                remedy="run `tokenworth init`, which loads the shipped ones",
            )
        for instant in {one for one, other in zip(self._from, self._from[1:], strict=False) if one == other}:
            raise ConfigError(
                "value_rules",
                f"two sets come into force at {show_instant(instant)}",
                remedy="a set is immutable: choose another effective_from",
            )

    def at(self, t_us: int) -> RuleSet:
        """The set in force at an instant, Int64 micro-seconds; before 2015, where no events are, the first one."""
        return self.sets[max(bisect_right(self._from, t_us) - 1, 0)]

    def rows_for_tables(self) -> list[Row]:
        return [row for entry in self.sets for row in entry.rows_for_tables()]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Rules:
        by_time = groupby(sorted(rows, key=itemgetter("effective_from")), key=itemgetter("effective_from"))
        return cls(RuleSet.from_rows(group) for _, group in by_time)

    @classmethod
    def shipped(cls) -> Rules:
        return cls([RuleSet.shipped()])
