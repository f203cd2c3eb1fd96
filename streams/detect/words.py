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


def moment(t_us: int) -> str:
    """2026-01-31 14:05 UTC"""
    return (_EPOCH + timedelta(microseconds=t_us)).strftime("%Y-%m-%d %H:%M UTC")


def instant(t_us: int) -> str:
    """RFC 3339, to the second."""
    return (_EPOCH + timedelta(microseconds=t_us)).strftime("%Y-%m-%dT%H:%M:%SZ")
