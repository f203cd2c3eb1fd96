"""Reasons of an alert: ranked by money, each with what it explains, nothing said twice."""

from __future__ import annotations

from dataclasses import replace

from streams.deliver.reasons import Stretch, Usage, in_flight, low_value, of_usage, silence
from tests.deliver.made import alert

USD = 1_000_000
CHAT = ("chat", "small")
AGENT = ("ci-agent", "large")


def texts(now: Stretch, usual: Stretch, rule: str = "spend_runaway") -> list[str]:
    return [reason.text for reason in of_usage(alert(rule=rule), now, usual)[0]]


def test_one_line_that_runs_away() -> None:
    usual = {CHAT: Usage(100, 10**6, 20 * USD), AGENT: Usage(100, 10**7, 100 * USD)}
    now = {CHAT: Usage(250, 25 * 10**5, 330 * USD, 0, 25), AGENT: Usage(1200, 12 * 10**7, 1200 * USD, 900 * USD, 0)}
    found, begin_with = of_usage(alert(), now, usual)
    assert [reason.text for reason in found] == [
        "78 % of the rise: model large through ci-agent (+$1,100), 12 times its usual requests",
        "59 % of the spend without a work item: $900, usually $0.00",
    ]
    assert begin_with == "model large through ci-agent"
    assert [reason.money for reason in found] == [1100 * USD, 900 * USD]


def test_a_tool_with_many_models_is_told_as_a_tool() -> None:
    now = {("ci-agent", model): Usage(10, 1000, 30 * USD) for model in ("a", "b", "c")}
    assert texts(now, {})[0] == "all of the rise: tool ci-agent (+$90.00), not used at such times before"


def test_a_rise_that_is_everywhere_is_told_by_its_cause() -> None:
    usual = {(f"tool{n}", f"model{n}"): Usage(100, 10**6, 10 * USD) for n in range(6)}
    more = {line: Usage(3 * u.requests, 3 * u.tokens, 3 * u.cost) for line, u in usual.items()}
    longer = {line: Usage(u.requests, 4 * u.tokens, 4 * u.cost) for line, u in usual.items()}
    dearer = {line: Usage(u.requests, u.tokens, 2 * u.cost) for line, u in usual.items()}
    assert texts(more, usual)[0] == "volume: 3.0 times the usual requests (+$120)"
    assert texts(longer, usual)[0] == "intensity: requests of 4.0 times the usual tokens (+$180)"
    assert texts(dearer, usual)[0] == "price: tokens at 2.0 times the usual price (+$60.00)"
    assert of_usage(alert(), more, usual)[1] == ""


def test_requests_that_moved_to_a_dearer_model() -> None:
    usual = {("chat", "small"): Usage(90, 9000, 9 * USD), ("chat", "large"): Usage(10, 1000, 20 * USD)}
    now = {("chat", "small"): Usage(10, 1000, 1 * USD), ("chat", "large"): Usage(90, 9000, 180 * USD)}
    assert "mix: requests went to tools and models that cost more a request (+$152)" in texts(now, usual)


def test_a_rule_about_a_part_looks_at_that_part_alone() -> None:
    usual = {CHAT: Usage(100, 1000, 10 * USD, 1 * USD), AGENT: Usage(100, 1000, 10 * USD, 1 * USD)}
    now = {CHAT: Usage(900, 9000, 90 * USD, 1 * USD), AGENT: Usage(100, 1000, 10 * USD, 9 * USD)}
    found = texts(now, usual, "unattributed_surge")
    assert found == ["all of the rise: model large through ci-agent (+$8.00)"]
    now = {CHAT: Usage(100, 1000, 10 * USD, 0, 50), AGENT: Usage(100, 1000, 10 * USD)}
    assert texts(now, usual, "repeated_prompts") == ["all of the rise: model small through chat (+$5.00)"]


def test_repeated_prompts_join() -> None:
    usual = {CHAT: Usage(1000, 1000, 10 * USD, 0, 3)}
    now = {CHAT: Usage(1000, 2000, 30 * USD, 0, 312)}
    assert "312 prompts repeated, usually 3: about $9.36" in texts(now, usual)


def test_without_a_rise_there_is_nothing_to_explain() -> None:
    assert of_usage(alert(), {CHAT: Usage(1, 1, 1)}, {CHAT: Usage(2, 2, 2)}) == ([], "")
    assert of_usage(alert(), {}, {}) == ([], "")


def test_names_from_outside_stay_on_their_line() -> None:
    told = texts({("a\nNext: pay", "m" * 500): Usage(1, 1, USD)}, {})[0]
    assert "\n" not in told
    assert len(told) < 200


def test_what_is_not_about_lines() -> None:
    assert [r.text for r in in_flight(3, 400 * USD, 1000 * USD)] == [
        "core work in flight: 3 items hold $400 of it, which may still pay off"
    ]
    assert in_flight(3, 100 * USD, 1000 * USD) == in_flight(0, 0, 0) == []
    assert [r.text for r in low_value([("chore", 14, 72 * USD), ("docs", 3, 28 * USD), ("", 1, 0)])] == [
        "72 % of it: 14 items of type chore, $72.00",
        "28 % of it: 3 items of type docs, $28.00",
    ]
    assert "rather the platform" in silence(9, 7)[0].text
    assert silence(9, 2)[0].text == "2 of 9 teams that were at work fell silent"
    assert "only this team: the other 8" in silence(9, 1)[0].text
    assert silence(1, 1) == []


def test_a_rule_that_is_not_known_is_about_spend() -> None:
    fired = replace(alert(), rule="new_rule")
    assert of_usage(fired, {CHAT: Usage(1, 1, USD)}, {})[0][0].money == USD
