"""What `rules explain` and `rules check` say: from the rules themselves, so that nothing is left out."""

from __future__ import annotations

import re

import pytest

from streams.detect.explained import differences, example, meanings, what
from streams.detect.numbers import Numbered, numbers_of
from streams.detect.policy import AlertPolicy
from streams.detect.rule import AlertRule

RULES = AlertPolicy().rules


@pytest.mark.parametrize("rule", AlertPolicy().numbered, ids=lambda rule: rule.name)
def test_every_rule_and_probe_is_explained(rule: Numbered) -> None:
    summary = what(rule).partition("\n")[0]
    assert re.fullmatch(r"[A-Z].{20,150}\.", summary), summary
    means = meanings(rule)
    assert means.keys() == {number.key for number in numbers_of(type(rule))}
    assert all(len(text) > 15 for text in means.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_an_example(rule: AlertRule) -> None:
    assert not re.search(r"\d", what(rule).partition("\n")[0])  # numbers are in the file
    assert example(rule).endswith(": told")


def test_the_example_follows_the_numbers() -> None:
    found = {
        text: example(AlertPolicy.from_toml(f"[spend_runaway]\n{text}", "my.toml").rules[0])
        for text in ("", "floor_usd = 599", "floor_usd = 601", "enabled = false")
    }
    ends = {text: said.rpartition("; ")[2] for text, said in found.items()}
    assert ends == {
        "": "alerts from $200 on: told",
        "floor_usd = 599": "alerts from $599 on: told",
        "floor_usd = 601": "alerts from $601 on: not told",
        "enabled = false": "not told: the rule is off",
    }


def test_differences_are_named_for_whom() -> None:
    policy = AlertPolicy.from_toml(
        """
[repeated_prompts]
enabled = false
factor = 3
[spend_runaway]
for = "1h"
[[override]]
tenants = ["acme"]
teams = ["b", "a"]
low_value_share.least_share = 0.5
token_sink.floor_usd = 80
""",
        "my.toml",
    )
    assert [tuple(row.values()) for row in differences(policy)] == [
        ("spend_runaway", "for", "10m", "1h", "everyone"),
        ("repeated_prompts", "enabled", "on", "off", "everyone"),
        ("low_value_share", "least_share", "20 %", "50 %", "teams a, b of tenants acme"),
        ("token_sink", "floor_usd", "$50.00", "$80.00", "teams a, b of tenants acme"),
    ]
    assert differences(AlertPolicy()) == []
