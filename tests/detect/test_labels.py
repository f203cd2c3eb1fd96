"""Labels files of a backtest."""

from __future__ import annotations

import re

import pytest

from streams.detect.backtest import Label, labels_from_csv, monday
from streams.errors import ConfigError

DAY_US = 86_400_000_000
JANUARY_31_US = 1_769_817_600_000_000
HEAD = "team,from,to,what\n"


def test_days_and_instants() -> None:
    text = (
        HEAD.replace("team", "tenant,team")
        + 'acme,web,2026-01-31,2026-02-01,"a loop, found late"\n,,2026-01-31T02:00:00+01:00,2026-01-31T01:00:01,x\n'
    )
    assert labels_from_csv(text.splitlines(keepends=True), "labels.csv") == [
        Label("acme", "web", JANUARY_31_US, JANUARY_31_US + DAY_US, "a loop, found late"),
        Label("", "", JANUARY_31_US + DAY_US // 24, JANUARY_31_US + DAY_US // 24 + 1_000_000, "x"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "no column team, from, to, what"),
        ("team,from,what\n", 1, "no column to"),
        (HEAD + "a,2026-01-31,2026-02-01,x\n\na,soon,2026-02-01,x", 4, "from is not a day or an instant"),
        (HEAD + "a,2026-01-31,2026-02-30,x", 2, "to is not a day or an instant"),
        (HEAD + "a,2026-01-31,2026-01-31,x", 2, "to is not after from"),
        (HEAD + "a,2026-01-31,2026-02-01", 2, "more or fewer cells than the header"),
        (HEAD + "a,2026-01-31,2026-02-01,x,y", 2, "more or fewer cells than the header"),
        (HEAD + 'a,2026-01-31,2026-02-01,"x"y', 2, "not valid CSV"),
    ],
)
def test_every_error_names_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as refused:
        labels_from_csv(text.splitlines(keepends=True), "labels.csv")
    assert refused.value.setting == f"labels.csv:{line}"
    assert refused.value.remedy


def test_weeks_begin_on_monday() -> None:
    assert [monday(JANUARY_31_US + day * DAY_US) for day in (0, 1, 2)] == ["2026-01-26", "2026-01-26", "2026-02-02"]
