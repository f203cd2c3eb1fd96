"""Rule files: what ships is what the code uses, every error names its line, and what a file says counts for those whom it names."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from streams.detect.numbers import numbers_of, show_length
from streams.detect.policy import SHIPPED, AlertPolicy
from streams.detect.probes import NAMES, PROBES
from streams.detect.rules import RULES
from streams.errors import ConfigError
from streams.value.documents import shipped

TEXT = shipped(SHIPPED, "detect")
HOUR_US = 3_600_000_000


def test_the_shipped_file_is_what_the_code_uses() -> None:
    assert AlertPolicy.from_toml(TEXT, SHIPPED) == AlertPolicy()
    assert [rule.name for rule in AlertPolicy().rules] == [rule.name for rule in RULES]


@pytest.mark.parametrize("rule", [*RULES, *PROBES], ids=lambda rule: rule.name)
def test_each_number_of_the_shipped_file_reaches_the_rule(rule: type) -> None:
    """Another value in the file is another rule: no number of it is written down a second time."""
    [section] = re.findall(rf"^\[{rule.name}\]\n((?:.+\n)+)", TEXT, re.MULTILINE)  # type: ignore[attr-defined]
    numbers = dict(re.findall(r"^(\w+) = (\S+)", section, re.MULTILINE))
    assert list(numbers) == [number.key for number in numbers_of(rule)]
    assert {number.field for number in numbers_of(rule)} == {field.name for field in fields(rule)} - {
        "month_budget_micro_usd"
    }
    for number in numbers_of(rule):
        written = numbers[number.key]
        other = '"5h"' if written.startswith('"') else "false" if written == "true" else "1" if "." in written else "31"
        policy = AlertPolicy.from_toml(f"[{rule.name}]\n{number.key} = {other}", "my.toml")  # type: ignore[attr-defined]
        shipped, here = ([*one.rules, *one.probes] for one in (AlertPolicy(), policy))
        [(old, new)] = [(a, b) for a, b in zip(shipped, here, strict=True) if a != b]
        assert new.name == rule.name  # type: ignore[attr-defined]
        assert [field.name for field in fields(rule) if getattr(old, field.name) != getattr(new, field.name)] == [
            number.field
        ]


def test_a_file_says_only_what_differs() -> None:
    policy = AlertPolicy.from_toml('[spend_runaway]\nfloor_usd = 12.5\nfactor = 2.5\nfor = "1h30m"\n', "my.toml")
    old, new = AlertPolicy().rules[0], policy.rules[0]
    assert new == replace(old, floor_micro_usd=12_500_000, factor_per_mille=2500, hold_us=3 * HOUR_US // 2)  # type: ignore[call-arg]
    assert policy.rules[1:] == AlertPolicy().rules[1:]
    assert AlertPolicy.from_toml("", "my.toml") == AlertPolicy()


def test_overrides_count_for_whom_they_name_and_the_last_one_wins() -> None:
    policy = AlertPolicy.from_toml(
        """
[spend_runaway]
floor_usd = 200
factor = 4
[[override]]
tenants = ["acme"]
spend_runaway.floor_usd = 300
[[override]]
teams = ["search", "ads"]
spend_runaway = { floor_usd = 400, factor = 8 }
[[override]]
tenants = ["acme"]
teams = ["ads"]
[override.spend_runaway]
enabled = false
""",
        "my.toml",
    )
    found = {
        group: (rule.enabled, rule.floor_micro_usd // 1_000_000, rule.factor_per_mille // 1000)  # type: ignore[attr-defined]
        for group in (("acme", "web"), ("acme", "search"), ("acme", "ads"), ("other", "ads"), ("other", "web"))
        for rule in [policy.rules_of(group)["spend_runaway"]]
    }
    assert found == {
        ("acme", "web"): (True, 300, 4),
        ("acme", "search"): (True, 400, 8),
        ("acme", "ads"): (False, 400, 8),
        ("other", "ads"): (True, 400, 8),
        ("other", "web"): (True, 200, 4),
    }
    assert policy.rules_of(("acme", "ads"))["feed_silent"] == AlertPolicy().rules_of(("", ""))["feed_silent"]


RUNAWAY = "# mine\n[spend_runaway]\n"
OVERRIDE = '[[override]]\nteams = ["a"]\n[[override]]\n'


@pytest.mark.parametrize(
    ("text", "line", "says", "remedy"),
    [
        ("[spend_runaway\n", 1, "not valid TOML", "correct that line"),
        (RUNAWAY + "floor_usd = 1\nfloor_usd = 2", 4, "not valid TOML", "correct that line"),
        (RUNAWAY + "floor = 5\n", 3, "spend_runaway: unknown name 'floor'", "enabled.*factor.*floor_usd.*for"),
        ("[x]\n\n[spend_runawy]\n", 1, "unknown name 'x'", "feed_silent.*override.*spend_runaway"),
        ("\nspend_runaway = 3", 2, "spend_runaway is not a table", r"below a line \[spend_runaway\]"),
        (RUNAWAY + "\nenabled = 1", 4, "enabled is not true or false", "write enabled = false"),
        (RUNAWAY + 'for = "soon"', 3, "for is not a length of time", 'write for = "90s"'),
        (RUNAWAY + "for = 600", 3, "for is not a length of time", 'write for = "90s"'),
        (RUNAWAY + 'for = ""', 3, "for is not a length of time", 'write for = "90s"'),
        (RUNAWAY + 'keep_firing_for = "15d"', 3, "keep_firing_for is longer than 14d", "shorter"),
        ('[feed_silent]\nlongest = "0h"', 2, "longest is no time at all", "1h"),
        (RUNAWAY + "floor_usd = 0", 3, "floor_usd is not an amount above 0", "floor_usd = 100"),
        (RUNAWAY + "floor_usd = -3", 3, "floor_usd is not an amount above 0", "floor_usd = 100"),
        (RUNAWAY + "floor_usd = 1e13", 3, "floor_usd is not an amount", "floor_usd = 100"),
        (RUNAWAY + 'floor_usd = "100"', 3, "floor_usd is a string", "without quotes"),
        (RUNAWAY + "floor_usd = true", 3, "floor_usd is not a number", "decimals"),
        (RUNAWAY + "floor_usd = 0.0000001", 3, "floor_usd is not a number in steps of 0.000001", "decimals"),
        (RUNAWAY + "floor_usd = nan", 3, "floor_usd is not a number", "decimals"),
        (RUNAWAY + "factor = 0.5", 3, "factor is not a factor of at least 1", "factor = 1.5"),
        ("[low_value_share]\nleast_share = 25", 2, "least_share is not a part of one", "least_share = 0.25"),
        ("[low_value_share]\nleast_share = 0", 2, "least_share is not a part of one", "least_share = 0.25"),
        ("[spend_up_core_flat]\nleast_items = 2.5", 2, "least_items is not a number in steps of 1", "least_items"),
        ("[spend_up_core_flat]\nleast_items = 0", 2, "least_items is not a whole number above 0", "least_items = 5"),
        ("[override]\nteams = []", 1, "override: is not a list of tables", r"\[\[override\]\]"),
        ("[[override]]\nspend_runaway.factor = 2", 1, "override 1: says neither teams nor tenants", "teams = "),
        ("[[override]]\nteams = 'a'", 2, "override 1: teams is not a list of strings", "teams = "),
        ("[[override]]\nteams = ['a']", 1, "override 1: changes no rule", "spend_runaway.floor_usd = 500"),
        ("[[override]]\nteam = 'a'", 2, "override 1: unknown name 'team'", "teams, tenants"),
        ("[[override]]\nteams = ['a']\nfeed_silent = false", 3, "feed_silent is not a table", "feed_silent.enabled = false"),
        (OVERRIDE.replace('"]', '"]\nfeed_silent.enabled = false') + "teams = ['b']\nspend_runaway.flor_usd = 5", 6, "override 2, spend_runaway: unknown name 'flor_usd'", "floor_usd"),
        (OVERRIDE.replace('"]', '"]\nfeed_silent.enabled = false') + "teams = ['b']\n[override.spend_runaway]\nfactor = 0", 7, "override 2, spend_runaway: factor is not", "1.5"),
    ],
)  # fmt: skip
def test_every_error_names_file_line_and_what_to_do(text: str, line: int, says: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as refused:
        AlertPolicy.from_toml(text, "my.toml")
    assert refused.value.setting == f"my.toml:{line}"
    assert re.search(remedy, refused.value.remedy), refused.value.remedy


@pytest.mark.parametrize("text", ["0m", "90s", "10m", "1h30m", "12h", "7d", "1d2h3m4s"])
def test_lengths_of_time_are_shown_as_they_are_written(text: str) -> None:
    policy = AlertPolicy.from_toml(f'[spend_runaway]\nfor = "{text}"', "my.toml")
    assert show_length(policy.rules[0].hold_us) == {"90s": "1m30s"}.get(text, text)


def test_budgets_and_probes_that_are_off() -> None:
    policy = AlertPolicy.from_toml(
        """
[stalled]
enabled = false
[canceled]
enabled = true
[[budget]]
tenant = "acme"
usd_a_month = 5000
[[budget]]
tenant = "acme"
team = "search"
usd_a_month = 12.5
""",
        "my.toml",
    )
    assert {probe.name for probe in policy.probes if not probe.enabled} == {"stalled"}
    assert policy.budgets == {("acme", ""): 5_000_000_000, ("acme", "search"): 12_500_000}
    assert set(re.findall(r"^\[(\w+)\]", TEXT, re.MULTILINE)) == {rule.name for rule in RULES} | NAMES


def test_probes_have_other_numbers_for_whom_an_override_names() -> None:
    text = """
[token_sink]
floor_usd = 100
[[override]]
teams = ["search"]
token_sink.least_days = 60
[[override]]
tenants = ["acme"]
token_sink = { floor_usd = 200, enabled = false }
"""
    policy = AlertPolicy.from_toml(text, "my.toml")
    groups = (("acme", "web"), ("acme", "search"), ("other", "search"), ("other", "web"))
    sinks = [policy.probe_of("token_sink", group) for group in groups]
    assert [(p.enabled, p.parameters["floor_micro_usd"] // 10**6, p.parameters["least_days"]) for p in sinks] == [
        (False, 200, 30), (False, 200, 60), (True, 100, 60), (True, 100, 30),
    ]  # fmt: skip
    assert set(policy.variants("token_sink")) == set(sinks)
    assert policy.variants("stalled") == [policy.probe_of("stalled", ("acme", "search"))]


def test_a_runaway_of_a_team_with_a_budget_burns_it_too() -> None:
    policy = AlertPolicy.from_toml('[[budget]]\ntenant = "acme"\nteam = "search"\nusd_a_month = 72000\n', "my.toml")
    found = [
        policy.rules_of(group)["spend_runaway"].threshold(0, 10_000_000)
        for group in (("acme", "search"), ("acme", "web"))
    ]
    assert found == [1_440_000_000, 100_000_000]  # 14.4 times $100 an hour; the floor


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[stalled]\nenabled = 1\n", 2, "not true or false"),
        ("[stalled]\nleast_share = 15\n", 2, "stalled: least_share is not a part of one"),
        ("[results_late]\nlate = '0m'\n", 2, "late is no time at all"),
        ("[budget_forecast]\nforecast_factor = 0.9\n", 2, "forecast_factor is not a factor of at least 1"),
        ("[token_sink]\nleast_dais = 3\n", 2, "unknown name 'least_dais'"),
        (
            "[[override]]\nteams = ['a']\ntoken_sink.floor_usd = 0\n",
            3,
            "override 1, token_sink: floor_usd is not an amount above 0",
        ),
        ("[[budget]]\nteam = 'a'\n", 1, "tenant is missing"),
        ("[[budget]]\ntenant = 'a'\nusd_a_month = 0\n", 3, "not an amount above 0"),
        ("[[budget]]\ntenant = 'a'\nusd_a_month = 'much'\n", 3, "not a number"),
        (
            "[[budget]]\ntenant = 'a'\nusd_a_month = 1\n[[budget]]\ntenant = 'a'\nusd_a_month = 1\n",
            4,
            "a has a budget already",
        ),
    ],
)
def test_an_error_in_a_budget_or_probe_names_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        AlertPolicy.from_toml(text, "my.toml")
    assert str(raised.value).startswith(f"my.toml:{line}: ")
