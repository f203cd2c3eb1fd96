"""Working hours and holidays of teams: tickets and digests wait for them, pages do not; rules know the holidays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.errors import ConfigError

KEYS: Final = ("teams", "timezone", "hours", "days", "holidays")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Calendar:
    """When some teams work, by the clock on their wall."""

    teams: tuple[str, ...] = ()
    """None named: all that no other calendar names."""
    timezone: str = "UTC"
    begin: int = 9 * 60
    """First minute of the day."""
    end: int = 18 * 60
    """First minute after work."""
    days: frozenset[int] = frozenset(range(5))
    """0 is Monday."""
    holidays: frozenset[date] = frozenset()

    def days_off(self) -> tuple[tuple[int, int], ...]:
        """Each holiday by the clock on the wall, from its first instant to that of the next day (us), in order."""
        zone = ZoneInfo(self.timezone)
        return tuple((_micros(day, 0, zone), _micros(day, 24 * 60, zone)) for day in sorted(self.holidays))

    def opens_at(self, at_us: int) -> int:
        """The first instant of work that is not before this one (us); itself during work. Of no work within two years: the end of those."""
        zone = ZoneInfo(self.timezone)
        first = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
        for later in range(731):
            day = first.date() + timedelta(days=later)
            if day.weekday() not in self.days or day in self.holidays:
                continue
            begin, end = (_micros(day, minute, zone) for minute in (self.begin, self.end))
            if at_us < end:
                return max(at_us, begin)
        return at_us + 731 * 86_400_000_000

    def began_at(self, at_us: int) -> int:
        """When the working day began that this instant belongs to (us); 0 outside working hours."""
        if self.opens_at(at_us) != at_us:
            return 0
        zone = ZoneInfo(self.timezone)
        return _micros((_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).date(), self.begin, zone)


def calendar_of(calendars: Iterable[Calendar], team: str) -> Calendar | None:
    """The one that names the team, else the first for all."""
    known = list(calendars)
    named = (calendar for calendar in known if team in calendar.teams)
    return next(named, None) or next((calendar for calendar in known if not calendar.teams), None)


def parse_calendar(entry: Mapping[str, Any]) -> Calendar:
    """From a table of a TOML document; what it leaves out is Monday to Friday, 9:00 to 18:00 UTC. Raises ConfigError that names the key."""
    for key in entry:
        if key not in KEYS:
            raise ConfigError(key, "no such key", remedy=f"the keys are {', '.join(KEYS)}")
    plain = Calendar()
    begin, end = _hours(entry["hours"]) if "hours" in entry else (plain.begin, plain.end)
    return Calendar(
        _teams(entry.get("teams", [])),
        _zone(entry.get("timezone", plain.timezone)),
        begin,
        end,
        _days(entry["days"]) if "days" in entry else plain.days,
        _holidays(entry.get("holidays", [])),
    )


def _micros(day: date, minute: int, zone: ZoneInfo) -> int:
    local = datetime.combine(day + timedelta(days=minute // 1440), time(minute // 60 % 24, minute % 60), zone)
    return (local - _EPOCH) // timedelta(microseconds=1)


def _teams(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ConfigError(
            "teams", "is not a list of names", remedy='write teams = ["one", "other"], or leave it out for all'
        )
    return tuple(value)


def _zone(value: Any) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ConfigError(
            "timezone", f"{value!r} is no time zone here", remedy="write its name, such as Europe/Berlin or UTC"
        ) from None
    return str(value)


def _hours(value: Any) -> tuple[int, int]:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found:
        begin, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
        if begin < end <= 24 * 60:
            return begin, end
    raise ConfigError("hours", f"{value!r} is no stretch of a day", remedy='write hours = "09:00-18:00"')


def _days(value: Any) -> frozenset[int]:
    """mon-fri, sun-thu, mon,wed,fri"""
    found: set[int] = set()
    for part in str(value).lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ConfigError("days", f"{value!r} are no days", remedy='write days = "mon-fri" or "sun-wed,fri"')
        begin = _DAYS.index(first)
        found.update((begin + later) % 7 for later in range((_DAYS.index(last or first) - begin) % 7 + 1))
    return frozenset(found)


def _holidays(value: Any) -> frozenset[date]:
    try:
        return frozenset(_day(one) for one in ([value] if isinstance(value, str) else value))
    except (TypeError, ValueError):
        raise ConfigError(
            "holidays", "is not a list of days", remedy='write holidays = ["2026-12-25", "2027-01-01"]'
        ) from None


def _day(value: Any) -> date:
    return value if isinstance(value, date) and not isinstance(value, datetime) else date.fromisoformat(value)
