"""Lengths of time as people write them: 30m, 4h, 2d, 1d12h."""

from __future__ import annotations

import re
from typing import Final

from streams.errors import ConfigError

_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FORM: Final = re.compile(r"(?:\s*\d{1,6}\s*(?:m|min|h|d|w))+\s*")
LONGEST_S: Final = 366 * 86_400


def duration_us(text: str, option: str) -> int:
    """Micro-seconds. Raises ConfigError that names the option for what is no length, none, or longer than a year."""
    if not _FORM.fullmatch(text):
        raise ConfigError(option, f"{text!r} is no length of time", remedy=f"write it as {option} 30m, 4h, 2d or 1d12h")
    total_s = sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)\s*([mhdw])", text))
    if not 0 < total_s <= LONGEST_S:
        raise ConfigError(option, f"{text!r} is not between a minute and a year", remedy=f"write it as {option} 4h")
    return total_s * 1_000_000
