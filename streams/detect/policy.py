"""The rules in force: those of alerts.toml, and what a company's own rule file says differently, for all or for some teams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Self

from streams.detect.numbers import Numbered, numbers_of, read_numbers
from streams.detect.observed import Group
from streams.detect.probes import PROBES, Probe
from streams.detect.rule import AlertRule
from streams.detect.rules import RULES
from streams.detect.runaway import SpendRunaway
from streams.value.documents import Document, Place, shipped

SHIPPED: Final = "alerts.toml"
_OVERRIDE: Final = "override"
_BUDGET: Final = "budget"
_MOST_BUDGET_USD: Final = 10**9
_TYPES: Final[Mapping[str, type[Numbered]]] = {
    **{rule.name: rule for rule in RULES},
    **{probe.name: probe for probe in PROBES},
}


@dataclass(frozen=True, slots=True)
class Override:
    """Other numbers for some groups. Empty `tenants` or `teams` stand for all; `changes` are fields by rule."""

    tenants: frozenset[str]
    teams: frozenset[str]
    changes: Mapping[str, Mapping[str, Any]]

    def covers(self, group: Group) -> bool:
        tenant, team = group
        return (not self.tenants or tenant in self.tenants) and (not self.teams or team in self.teams)


@cache
def shipped_rules() -> tuple[AlertRule, ...]:
    """The rules with the numbers that ship, in the order in which they are evaluated."""
    doc = _shipped()
    return tuple(rule(**_complete(doc, rule)) for rule in RULES)


@cache
def shipped_probes() -> tuple[Probe, ...]:
    """The probes with the numbers that ship."""
    doc = _shipped()
    return tuple(probe(**_complete(doc, probe)) for probe in PROBES)


def _shipped() -> Document:
    doc = Document(shipped(SHIPPED, "detect"), SHIPPED)
    doc.only(doc.table, (), _TYPES)
    return doc


@dataclass(frozen=True)
class AlertPolicy:
    """All rules, those that are off included, in the order in which they are evaluated; by default as they ship."""

    rules: tuple[AlertRule, ...] = field(default_factory=shipped_rules)
    overrides: tuple[Override, ...] = ()
    probes: tuple[Probe, ...] = field(default_factory=shipped_probes)
    budgets: Mapping[Group, int] = field(default_factory=dict)
    """Micro-USD of standard cost a month, by tenant and team; without a team that of the whole tenant."""

    @classmethod
    def from_toml(cls, text: str, file: str) -> Self:
        """The shipped rules with the changes of a rule file. Raises ConfigError that names file, line and what to do."""
        doc = Document(text, file)
        doc.only(doc.table, (), [*_TYPES, _OVERRIDE, _BUDGET])
        changes = _changes(doc, doc.table, ())
        rules = tuple(replace(rule, **changes.get(rule.name, {})) for rule in shipped_rules())
        probes = tuple(replace(probe, **changes.get(probe.name, {})) for probe in shipped_probes())
        overrides = tuple(_override(doc, number, part) for number, part in enumerate(doc.tables(_OVERRIDE)))
        return cls(rules, overrides, probes, _budgets(doc))

    @property
    def numbered(self) -> list[Numbered]:
        """All rules and probes."""
        found: list[Numbered] = [*self.rules]
        return [*found, *self.probes]

    def rules_of(self, group: Group) -> Mapping[str, AlertRule]:
        """The rules of a team by name, those that are off included."""
        rules = {rule.name: replace(rule, **self._changes(rule.name, group)) for rule in self.rules}
        if group in self.budgets:
            runaway = rules[SpendRunaway.name]
            rules[runaway.name] = replace(runaway, month_budget_micro_usd=self.budgets[group])  # type: ignore[call-arg]
        return rules

    def probe_of(self, name: str, group: Group) -> Probe:
        """A probe with the numbers in force for a group."""
        return replace(self._probe(name), **self._changes(name, group))

    def variants(self, name: str) -> list[Probe]:
        """A probe with each set of numbers that may be in force for some group."""
        found = {self._probe(name): None}
        for override in self.overrides:
            found |= {replace(one, **override.changes.get(name, {})): None for one in found}
        return list(found)

    def _probe(self, name: str) -> Probe:
        [probe] = (probe for probe in self.probes if probe.name == name)
        return probe

    def _changes(self, name: str, group: Group) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for override in self.overrides:
            if override.covers(group):
                found |= override.changes.get(name, {})
        return found


def _complete(doc: Document, rule: type[Numbered]) -> dict[str, Any]:
    if rule.name not in doc.table:
        doc.refuse((), f"[{rule.name}] is missing", "give every rule its numbers")
    numbers = read_numbers(doc, doc.section(rule.name), rule, (rule.name,))
    missing = {number.field for number in numbers_of(rule)} - numbers.keys()
    if missing:
        doc.refuse((rule.name,), f"no {', '.join(sorted(missing))}", "give every number of the rule")
    return numbers


def _changes(doc: Document, table: Mapping[str, Any], place: Place) -> dict[str, dict[str, Any]]:
    changes = {}
    for name, rule in _TYPES.items():
        if name in table:
            if not isinstance(table[name], dict):
                remedy = f"write {name}.enabled = false" if place else f"write its numbers below a line [{name}]"
                doc.refuse(place, f"{name} is not a table", remedy, name)
            changes[name] = read_numbers(doc, table[name], rule, (*place, name))
    return changes


def _override(doc: Document, number: int, table: Mapping[str, Any]) -> Override:
    place = (_OVERRIDE, number)
    doc.only(table, place, ["tenants", "teams", *_TYPES])
    tenants, teams = (frozenset(doc.texts(table, name, place)) for name in ("tenants", "teams"))
    if not tenants and not teams:
        doc.refuse(
            place, "says neither teams nor tenants", 'write teams = ["one", "other"], or change the rule for all'
        )
    changes = _changes(doc, table, place)
    if not changes:
        doc.refuse(place, "changes no rule", "write below it such as spend_runaway.floor_usd = 500")
    return Override(tenants, teams, changes)


def _budgets(doc: Document) -> dict[Group, int]:
    found: dict[Group, int] = {}
    for number, table in enumerate(doc.tables(_BUDGET)):
        place = (_BUDGET, number)
        doc.only(table, place, ["tenant", "team", "usd_a_month"])
        group = doc.text(table, "tenant", place), doc.text(table, "team", place, "")
        if group in found:
            doc.refuse(place, f"{' / '.join(filter(None, group))} has a budget already", "leave one of the two")
        micro_usd = doc.scaled(table.get("usd_a_month"), 1_000_000, place, "usd_a_month")
        if not 0 < micro_usd <= _MOST_BUDGET_USD * 1_000_000:
            doc.refuse(place, "usd_a_month is not an amount above 0", "write usd_a_month = 5000", "usd_a_month")
        found[group] = micro_usd
    return found
