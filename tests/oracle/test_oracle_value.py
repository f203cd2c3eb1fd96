"""Worked examples of standard cost and value rules, computed by hand from VALUE.md §4 and §8."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.oracle.value import (
    DEFAULT_RULES,
    SAMPLE_PRICES,
    SINCE_2015,
    PriceLine,
    RuleLine,
    Verdict,
    assisted_cost,
    match_rule,
    price_of,
    reference_size,
    round_half_up,
    standard_cost,
    value_of,
)
from tests.strategies import at, usage_event


@pytest.mark.parametrize(
    ("value", "rounded"), [(Fraction(1, 2), 1), (Fraction(3, 2), 2), (Fraction(49, 100), 0), (Fraction(7), 7)]
)
def test_halves_round_up(value: Fraction, rounded: int) -> None:
    assert round_half_up(value) == rounded


def cost(model: str = "small", /, **changes: Any) -> tuple[int, bool]:
    event = usage_event("u", at(0), model=model, **({"input_tokens": 0} | changes))
    return standard_cost(event, SAMPLE_PRICES)


def test_each_bucket_has_its_own_price() -> None:
    # 1 x 15 + 10 x 1.5 + 100 x 18.75 + 1,000 x 30 + 10,000 x 75 = 15 + 15 + 1,875 + 30,000 + 750,000
    tokens = {
        "input_tokens": 1,
        "cache_read_tokens": 10,
        "cache_write_5m_tokens": 100,
        "cache_write_1h_tokens": 1000,
        "output_tokens": 10_000,
        "reasoning_tokens": 9_999,
    }
    assert cost("large", **tokens) == (781_905, False)


def test_cost_is_rounded_once_per_event() -> None:
    assert cost(cache_write_1h_tokens=1) == (1, False)  # 0.5 goes up
    assert cost(input_tokens=1) == (0, False)  # 0.250001
    # 0.250001 + 10 x 0.025 = 0.500001: one; rounded bucket by bucket it would be 0
    assert cost(input_tokens=1, cache_read_tokens=10) == (1, False)


def test_large_counts_stay_exact() -> None:
    # 10^9 tokens of each bucket at 15 + 1.5 + 18.75 + 30 + 75 = 140.25 micro-USD a token
    everything = dict.fromkeys(
        ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"), 10**9
    )
    assert cost("large", **everything) == (140_250_000_000, False)


def test_exact_name_then_alias_then_default_line() -> None:
    assert cost("large-latest", input_tokens=2) == (30, False)
    assert cost("unlisted", input_tokens=2) == (6, True)
    assert cost("free", input_tokens=2) == (0, False)
    assert cost("", input_tokens=2) == (6, True)
    assert cost("*", input_tokens=2) == (6, True)


def test_unknown_usage_costs_nothing_but_may_be_unpriced() -> None:
    assert cost("large", usage_quality="unknown", input_tokens=2) == (0, False)
    assert cost("unlisted", usage_quality="unknown", input_tokens=2) == (0, True)
    assert cost("large", usage_quality="partial", input_tokens=2) == (30, False)


def test_prices_are_those_in_force_at_the_time() -> None:
    book = [*SAMPLE_PRICES, PriceLine(at(1), "large", "", 10)]
    assert price_of(book, "large", at(1) - 1)[0].input_price == 15_000_000
    assert price_of(book, "large", at(1))[0].input_price == 10
    assert price_of(book, "large-latest", at(9))[0].input_price == 10
    assert price_of(book, "small", at(9))[0].input_price == 250_001
    assert price_of([PriceLine(at(5), "large", "", 7)], "large", at(1)) == (PriceLine(at(1), ""), True)


def test_ten_thousand_weighted_tokens_make_assistance() -> None:
    assert assisted_cost(SAMPLE_PRICES) == 30_000
    assert assisted_cost([PriceLine(SINCE_2015, "*", "", 2_999_950)]) == 30_000  # 29,999.5


def taken(*texts: str, evidence: bool = False, worked_on: bool = True) -> Verdict:
    item_type, *labels = texts
    return match_rule(DEFAULT_RULES, at(0), item_type=item_type, labels=labels, evidence=evidence, worked_on=worked_on)


@pytest.mark.parametrize(
    ("texts", "rule", "base_milli", "work_class"),
    [
        (("epic",), 1, 0, "excluded"),
        (("Milestone", "story"), 1, 0, "excluded"),
        (("story", "revert"), 3, 0, "supporting"),
        (("bug", "CVE"), 5, 1000, "core"),
        (("sev1",), 6, 500, "supporting"),
        (("SEV-2 outage",), 6, 500, "supporting"),
        (("bug", "sev"), 6, 500, "supporting"),
        (("dependabot", "feature"), 7, 100, "low_value"),
        (("lint", "feature"), 8, 100, "low_value"),
        (("Status-Report",), 9, 100, "low_value"),
        (("status_report",), 9, 100, "low_value"),
        (("story", "bug"), 10, 1000, "core"),
        (("customer request",), 10, 1000, "core"),
        (("Defect", "docs"), 11, 500, "core"),
        (("tech-debt",), 12, 500, "supporting"),
        (("runbook", "spike"), 13, 250, "supporting"),
        (("design",), 14, 250, "supporting"),
        (("access",), 15, 250, "supporting"),
        (("stories",), 16, 500, "supporting"),
        (("",), 16, 500, "supporting"),
        (("pull_request",), 16, 500, "supporting"),
        ((" story",), 16, 500, "supporting"),
    ],
)
def test_the_first_rule_that_matches_takes_the_item(
    texts: tuple[str, ...], rule: int, base_milli: int, work_class: str
) -> None:
    verdict = taken(*texts)
    assert (verdict.rule, verdict.base_milli, verdict.work_class) == (rule, base_milli, work_class)


def test_only_some_rules_are_sized() -> None:
    assert [taken(text).sized for text in ("cve", "story", "bug", "ci")] == [True] * 4
    assert not any(taken(text).sized for text in ("sev1", "lint", "docs", "question", "weird", "revert"))


def test_evidence_and_closed_without_work_have_their_place_in_the_order() -> None:
    assert taken("story", evidence=True).rule == 2
    assert taken("epic", evidence=True).rule == 1
    assert taken("story", worked_on=False).rule == 4
    assert taken("revert").rule == 3
    assert taken("revert", worked_on=False).rule == 4


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (("bug", "value:core"), Verdict(11, "match", 1000, False, "core")),
        (("story", "Value:Low"), Verdict(10, "match", 100, False, "low_value")),
        (("lint", "zzz", "value:supporting"), Verdict(8, "match", 500, False, "supporting")),
        (("weird", "value:low"), Verdict(16, "unclassified", 100, False, "low_value")),
        (("bug", "value:low", "value:core"), Verdict(11, "match", 1000, False, "core")),
        (("value:low",), Verdict(16, "unclassified", 500, False, "supporting")),  # a type is not a label
    ],
)
def test_a_value_label_overrides_class_and_base_and_is_never_sized(texts: tuple[str, ...], verdict: Verdict) -> None:
    assert taken(*texts) == verdict


def test_a_value_label_does_not_reach_rules_1_to_4() -> None:
    assert taken("epic", "value:core").rule == 1
    assert taken("story", "value:core", evidence=True).rule == 2
    assert taken("revert", "value:core").rule == 3
    assert taken("story", "value:core", worked_on=False).rule == 4


@pytest.mark.parametrize(
    ("size", "value"),
    [
        (0, 1000),  # unsized
        (3000, 1000),
        (5000, 1667),  # 1,666.67
        (999, 333),  # below a third: 333.33
        (8000, 2667),  # 2,666.67
        (20_000, 2667),  # clamped
        (1501, 500),  # 500.33
        (4501, 1500),  # 1,500.33
        (4502, 1501),  # 1,500.67
    ],
)
def test_size_scales_a_sized_rule_between_a_third_and_eight_thirds(size: int, value: int) -> None:
    assert value_of(taken("story"), size, 3000) == value


def test_size_does_not_scale_the_others() -> None:
    assert value_of(taken("docs"), 20_000, 3000) == 250
    assert value_of(taken("story", "value:core"), 20_000, 3000) == 1000


def test_value_is_rounded_once_half_up() -> None:
    assert value_of(taken("bug"), 3003, 3000) == 501  # 500.5
    assert value_of(taken("bug"), 3002, 3000) == 500  # 500.33


def test_a_team_may_set_its_own_reference() -> None:
    rules = [*DEFAULT_RULES, RuleLine(SINCE_2015, "reference", 0, ("big",), 8000, False, "")]
    assert [reference_size(rules, team, at(0)) for team in ("big", "pay", "")] == [8000, 3000, 3000]


def test_rules_come_as_whole_sets() -> None:
    rules = [*DEFAULT_RULES, RuleLine(at(1), "unclassified", 16, (), 7, False, "core")]
    before, after = (
        match_rule(rules, when, item_type="docs", labels=(), evidence=False, worked_on=True)
        for when in (at(1) - 1, at(1))
    )
    assert (before.rule, after.rule, after.base_milli) == (13, 16, 7)
