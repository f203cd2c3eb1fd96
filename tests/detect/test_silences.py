"""Matchers as people write them, and what they match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detect.silences import LABELS, Matcher, Silence, matchers_of, silencing
from streams.errors import ConfigError

LABELLED = {"alertname": "spend_runaway", "kind": "page", "team": "search", "tenant": "acme", "window": "1h"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("team=search", True),
        (' team = "search" ', True),
        ("team='search'", True),
        ("team=sea", False),
        ("team!=search", False),
        ("team!=ads", True),
        ('alertname=~"spend.*"', True),
        ("alertname=~spend", False),  # the whole value, as in Alertmanager
        ("alertname=~spend_runaway|feed_silent", True),
        ("alertname!~spend.*", False),
        ('team=""', False),
        ("team!=", True),
    ],
)
def test_a_matcher_reads_as_in_alertmanager(text: str, matches: bool) -> None:
    assert Matcher.parse(text).matches(LABELLED) == matches


def test_a_label_that_is_not_there_is_empty() -> None:
    assert Matcher.parse('team=""').matches({})
    assert Matcher.parse("team=~.*").matches({})
    assert not Matcher.parse("team=~.+").matches({})


@given(st.sampled_from(LABELS), st.text(max_size=20), st.booleans())
def test_a_matcher_is_written_as_it_is_read(name: str, value: str, is_equal: bool) -> None:
    matcher = Matcher(name, value, False, is_equal)
    assert Matcher.parse(str(matcher)) == matcher


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("search", "is no matcher"),
        ("rule=spend_runaway", "no alert has a label 'rule'"),
        ("team=~sea(", "no regular expression"),
        ("team=" + "x" * 201, "too long"),
    ],
)
def test_a_matcher_that_cannot_work_says_why(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        Matcher.parse(text)
    assert raised.value.remedy


def silence(*matchers: str, begin: int = 0, end: int = 10, why: str = "load test") -> Silence:
    return Silence(f"{begin}-{end}", matchers_of(matchers), begin, end, 0, "ann", why)


@pytest.mark.parametrize(
    ("matchers", "why", "says"),
    [(["team=~.*"], "x", "everything"), ([], "x", "everything"), (["team=a"], " ", "--why")],
)
def test_a_silence_names_what_it_is_about_and_why(matchers: list[str], why: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        silence(*matchers, why=why)


def test_all_matchers_must_match_and_the_longest_silence_is_told() -> None:
    both = silence("team=search", "kind=page")
    assert silencing([both], LABELLED, 5) == both
    assert silencing([both], {**LABELLED, "kind": "ticket"}, 5) is None
    assert [silencing([both], LABELLED, at) is not None for at in (-1, 0, 9, 10)] == [False, True, True, False]
    longer = silence("team=search", end=11)
    assert silencing([both, longer, silence("team=ads", end=99)], LABELLED, 5) == longer
