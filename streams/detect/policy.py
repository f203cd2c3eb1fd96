"""The rules in force: those of alerts.toml, and what a company's own rule file says differently, for all or for some teams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Self

from streams.detect.numbers import numbers_of, read_numbers
from streams.detect.observed import Group
from streams.detect.probes import NAMES as PROBE_NAMES
from streams.detect.rule import AlertRule
from streams.detect.rules import RULES
from streams.detect.runaway import SpendRunaway
from streams.value.documents import Document, Place, shipped

SHIPPED: Final = "alerts.toml"
_OVERRIDE: Final = "override"
_BUDGET: Final = "budget"
_MOST_BUDGET_USD: Final = 10**9
_TYPES: Final[Mapping[str, type[AlertRule]]] = {rule.name: rule for rule in RULES}


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
    doc = Document(shipped(SHIPPED, "detect"), SHIPPED)
    doc.only(doc.table, (), [*_TYPES, *PROBE_NAMES])
    return tuple(rule(**_complete(doc, rule)) for rule in RULES)


@dataclass(frozen=True)
class AlertPolicy:
    """All rules, those that are off included, in the order in which they are evaluated; by default as they ship."""

    rules: tuple[AlertRule, ...] = field(default_factory=shipped_rules)
    overrides: tuple[Override, ...] = ()
    probes_off: frozenset[str] = frozenset()
    budgets: Mapping[Group, int] = field(default_factory=dict)
    """Micro-USD of standard cost a month, by tenant and team; without a team that of the whole tenant."""

    @classmethod
    def from_toml(cls, text: str, file: str) -> Self:
        """The shipped rules with the changes of a rule file. Raises ConfigError that names file, line and what to do."""
        doc = Document(text, file)
        doc.only(doc.table, (), [*_TYPES, *PROBE_NAMES, _OVERRIDE, _BUDGET])
        changes = _changes(doc, doc.table, ())
        rules = tuple(replace(rule, **changes.get(rule.name, {})) for rule in shipped_rules())
        overrides = tuple(_override(doc, number, part) for number, part in enumerate(doc.tables(_OVERRIDE)))
        return cls(rules, overrides, frozenset(_off(doc)), _budgets(doc))

    def rules_of(self, group: Group) -> Mapping[str, AlertRule]:
        """The rules of a team by name, those that are off included."""
        rules = {rule.name: rule for rule in self.rules}
        for override in self.overrides:
            if override.covers(group):
                for name, changes in override.changes.items():
                    rules[name] = replace(rules[name], **changes)
        if group in self.budgets:
            runaway = rules[SpendRunaway.name]
            rules[runaway.name] = replace(runaway, month_budget_micro_usd=self.budgets[group])  # type: ignore[call-arg]
        return rules


def _complete(doc: Document, rule: type[AlertRule]) -> dict[str, Any]:
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


def _off(doc: Document) -> Iterator[str]:
    """The probes that are switched off."""
    for name in sorted(PROBE_NAMES & doc.table.keys()):
        section = doc.section(name)
        doc.only(section, (name,), ["enabled"])
        if not isinstance(section.get("enabled"), bool):
            doc.refuse((name,), "enabled is not true or false", "write enabled = false", "enabled")
        if not section["enabled"]:
            yield name


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
