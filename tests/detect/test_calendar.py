"""Working hours: by the clock on the team's wall, in every season."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detect.calendar import Calendar, calendar_of, parse_calendar
from streams.errors import ConfigError

BERLIN = {"timezone": "Europe/Berlin", "hours": "08:30-17:00", "holidays": ["2026-12-25"]}


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("entry", "at", "opens"),
    [
        ({}, "2026-02-02 09:00", "2026-02-02 09:00"),  # Monday
        ({}, "2026-02-02 08:59:59", "2026-02-02 09:00"),
        ({}, "2026-02-02 17:59:59", "2026-02-02 17:59:59"),
        ({}, "2026-02-06 18:00", "2026-02-09 09:00"),  # Friday evening
        (BERLIN, "2026-02-02 05:00", "2026-02-02 07:30"),
        (BERLIN, "2026-07-06 05:00", "2026-07-06 06:30"),  # summer
        (BERLIN, "2026-12-24 16:30", "2026-12-28 07:30"),  # Christmas and a weekend
        ({"days": "sun-thu"}, "2026-02-06 12:00", "2026-02-08 09:00"),
        ({"days": "sat", "hours": "00:00-24:00"}, "2026-02-07 23:59", "2026-02-07 23:59"),
        ({"days": "sat", "hours": "00:00-24:00"}, "2026-02-08 00:00", "2026-02-14 00:00"),
        ({"timezone": "Pacific/Auckland"}, "2026-02-01 20:30", "2026-02-01 20:30"),  # Monday there
    ],
)
def test_work_begins(entry: dict[str, Any], at: str, opens: str) -> None:
    assert parse_calendar(entry).opens_at(us(at)) == us(opens)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_it_is_the_first_working_minute_that_the_wall_clock_shows(at: datetime, zone: str) -> None:
    at = at.replace(tzinfo=UTC, second=0, microsecond=0)
    calendar = Calendar(timezone=zone)

    def works(when: datetime) -> bool:
        local = when.astimezone(ZoneInfo(zone))
        return local.weekday() < 5 and 9 <= local.hour < 18

    found = at
    while not works(found):
        found += timedelta(minutes=15 if found.minute % 15 == 0 else 1)
    assert calendar.opens_at(round(at.timestamp() * 1e6)) == round(found.timestamp() * 1e6)


@pytest.mark.parametrize(
    ("at", "began"),
    [
        ("2026-01-30T12:00", "2026-01-30T06:30"),
        ("2026-01-30T06:30", "2026-01-30T06:30"),
        ("2026-01-30T06:29", ""),
        ("2026-01-30T20:00", ""),
        ("2026-01-31T12:00", ""),
    ],
)
def test_a_working_day_began(at: str, began: str) -> None:
    calendar = parse_calendar({"timezone": "Europe/Berlin", "hours": "07:30-21:00"})
    assert calendar.began_at(us(at)) == (us(began) if began else 0)


def test_a_calendar_of_holidays_only_ends_the_search() -> None:
    days = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    assert parse_calendar({"days": "mon", "holidays": days}).opens_at(us("2026-01-05")) > us("2026-01-12")


def test_a_team_has_its_own_calendar_or_the_first_for_all() -> None:
    own, common, plain = parse_calendar({"teams": ["search"]}), parse_calendar(BERLIN), Calendar()
    assert calendar_of([own, common, plain], "search") == own
    assert calendar_of([common, own, plain], "search") == own
    assert calendar_of([own, common, plain], "ads") == common
    assert calendar_of([own], "ads") is None


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"timezone": "Berlin"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"timezone": 1}, "timezone"),
        ({"hours": "9-18"}, "hours"),
        ({"hours": "18:00-09:00"}, "hours"),
        ({"hours": "09:00-24:30"}, "hours"),
        ({"hours": 9}, "hours"),
        ({"days": "mo-fr"}, "days"),
        ({"days": ""}, "days"),
        ({"holidays": ["25.12.2026"]}, "holidays"),
        ({"holidays": [1]}, "holidays"),
        ({"holidays": 1}, "holidays"),
        ({"teams": "search"}, "teams"),
        ({"team": ["search"]}, "team"),
    ],
)
def test_what_cannot_work_names_its_key(entry: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_calendar(entry)
    assert raised.value.setting == key
    assert raised.value.remedy
