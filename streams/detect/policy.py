"""What a company may set about alerts: the amounts below which a change is not worth anybody's time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from streams.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Floors per team in micro-USD of standard cost. Raises ConfigError when one is not positive: an idle team would alert."""

    spend_runaway_floor_micro_usd: int = 100_000_000
    """Least cost of one hour."""
    spend_up_floor_micro_usd: int = 200_000_000
    """Least extra spend of seven days."""
    low_value_floor_micro_usd: int = 100_000_000
    """Least cost of the low-value work that ended in seven days."""
    unattributed_floor_micro_usd: int = 25_000_000
    """Least cost without a work item in a day. A team that spends $300 a week reaches $50 a day, the field's rule of thumb, only by chance."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) < 1:
                raise ConfigError(entry.name, "must be at least 1 micro-USD", remedy="leave it out for the default")
