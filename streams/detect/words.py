"""Figures as a person reads them in an alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def usd(micro_usd: int) -> str:
    """$1,490 from $100 on, $12.90 below."""
    return f"${micro_usd / 1e6:,.0f}" if abs(micro_usd) >= 100_000_000 else f"${micro_usd / 1e6:,.2f}"


def percent(per_mille: int) -> str:
    return f"{per_mille / 10:.0f} %"


def value(milli: int) -> str:
    """Value in typical core items."""
    return f"{milli / 1000:.1f} items' worth"


def times(now: float, before: float) -> str:
    """12 times, 1.4 times; of nothing before, many times."""
    if not before:
        return "many times"
    return f"{now / before:.0f} times" if now >= 10 * before else f"{now / before:.1f} times"


def one_line(name: str) -> str:
    """A name from outside, so that it cannot pretend to be another line of a message."""
    return " ".join(name.split())


def moment(t_us: int) -> str:
    """2026-01-31 14:05 UTC"""
    return (_EPOCH + timedelta(microseconds=t_us)).strftime("%Y-%m-%d %H:%M UTC")


def instant(t_us: int) -> str:
    """RFC 3339, to the second."""
    return (_EPOCH + timedelta(microseconds=t_us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(length_us: int) -> str:
    """10 min, 3 h 20 min, 2 d 4 h."""
    minutes = length_us // 60_000_000
    days, hours, left = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h")] if days else [(hours, "h"), (left, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min"
