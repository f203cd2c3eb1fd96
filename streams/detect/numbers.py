"""The numbers of a rule or probe as a rule file writes them: each is a field of the rule, whose name ends in its unit.

floor_micro_usd      floor_usd = 100       dollars above 0
..._us               longest = "4h"        a length of time; hold_us is `for`, keep_firing_us is `keep_firing_for`
..._share_per_mille  least_share = 0.25    a part of one, above 0; likewise part and rise
..._factor_per_mille factor = 1.5          at least 1
any other            least_items = 5       a whole number above 0
enabled              enabled = false
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

from streams.detect.probes import Probe
from streams.detect.rule import AlertRule
from streams.detect.words import usd
from streams.value.documents import Document, Place
from streams.windows.measures import DAY_US, HOUR_US

Numbered = AlertRule | Probe
"""What has numbers in a rule file."""
_KEYS: Final = {"hold_us": "for", "keep_firing_us": "keep_firing_for"}
_UNITS_US: Final = {"d": DAY_US, "h": HOUR_US, "m": 60_000_000, "s": 1_000_000}
_LENGTH: Final = re.compile(r"(?=\d)" + "".join(rf"(?:(\d{{1,6}}){unit})?" for unit in _UNITS_US))
_LONGEST_US: Final = 14 * DAY_US
_MOST_USD: Final = 10**12
_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a rule: its field, and its key in a rule file."""

    field: str

    @property
    def key(self) -> str:
        if self.field in _KEYS:
            return _KEYS[self.field]
        if self.field.endswith("_micro_usd"):
            return self.field.removesuffix("_micro_usd") + "_usd"
        return self.field.removesuffix("_per_mille").removesuffix("_us")

    def read(self, doc: Document, value: object, entry: Place) -> int | bool:
        """The value in the field's unit. Raises ConfigError that names the line."""
        if self.field == "enabled":
            if not isinstance(value, bool):
                doc.refuse(entry, "enabled is not true or false", "write enabled = false", self.key)
            return value
        if self.field.endswith("_us"):
            return self._length(doc, value, entry)
        if self.field.endswith("_micro_usd"):
            return self._between(doc, value, 1_000_000, 1, _MOST_USD, entry, "an amount above 0 in dollars", "100")
        if self.field.endswith("factor_per_mille"):
            return self._between(doc, value, 1000, 1000, _MOST, entry, "a factor of at least 1", "1.5")
        if self.field.endswith("_per_mille"):
            return self._between(doc, value, 1000, 1, 1000, entry, "a part of one: above 0, at most 1", "0.25")
        return self._between(doc, value, 1, 1, _MOST, entry, "a whole number above 0", "5")

    def show(self, value: int) -> str:
        """The value for a reader: $100, 30m, 25 %, 5 times, 100, on."""
        if self.field == "enabled":
            return "on" if value else "off"
        if self.field.endswith("_us"):
            return show_length(value)
        if self.field.endswith("_micro_usd"):
            return usd(value)
        if self.field.endswith("factor_per_mille"):
            return f"{value / 1000:g} times"
        if self.field.endswith("_per_mille"):
            return f"{value / 10:g} %"
        return f"{value:,}"

    def _length(self, doc: Document, value: object, entry: Place) -> int:
        found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            doc.refuse(entry, f"{self.key} is not a length of time", f'write {self.key} = "90s", "10m", "1h30m" or "7d"', self.key)  # fmt: skip
        length = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS_US.values(), strict=True))
        if length > _LONGEST_US:
            doc.refuse(entry, f"{self.key} is longer than {show_length(_LONGEST_US)}", "write a shorter one", self.key)
        if not length and self.field not in _KEYS:
            doc.refuse(entry, f"{self.key} is no time at all", f'write {self.key} = "1h" or longer', self.key)
        return length

    def _between(
        self, doc: Document, value: object, scale: int, least: int, most: int, entry: Place, what: str, example: str
    ) -> int:
        if isinstance(value, str):
            doc.refuse(entry, f"{self.key} is a string", f"write {self.key} = {example}, without quotes", self.key)
        exact = doc.scaled(value, scale, entry, self.key)
        if not least <= exact <= most * (scale if scale == 1_000_000 else 1):
            doc.refuse(entry, f"{self.key} is not {what}", f"write it such as {self.key} = {example}", self.key)
        return exact


def numbers_of(rule: type[Numbered]) -> tuple[Number, ...]:
    """All numbers of a rule, in the order of its fields; what has a default is no number."""
    return tuple(Number(field.name) for field in fields(rule) if field.default is MISSING)


def read_numbers(doc: Document, table: Mapping[str, Any], rule: type[Numbered], entry: Place) -> dict[str, int]:
    """Fields of the rule that a table of a document gives. Raises ConfigError that names the line."""
    numbers = {number.key: number for number in numbers_of(rule)}
    doc.only(table, entry, list(numbers))
    return {numbers[key].field: numbers[key].read(doc, value, entry) for key, value in table.items()}


def show_length(length_us: int) -> str:
    """As a rule file writes it: 1h30m."""
    shown = ""
    for name, unit in _UNITS_US.items():
        count, length_us = divmod(length_us, unit)
        shown += f"{count}{name}" if count else ""
    return shown or "0m"
