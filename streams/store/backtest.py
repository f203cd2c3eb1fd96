"""The alert engine over the stored history: a tenant and a few days at a time, any number of policies side by side.

Windows are read as they are stored now, so a late revision counts although the live engine had judged the window before it came.
In memory are a stretch of one tenant's windows and what the engines keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from streams.detect.backtest import WARM_UP_US, Trial
from streams.detect.calendar import Calendar
from streams.detect.history import KEPT_US
from streams.detect.policy import AlertPolicy
from streams.store.alerts import load_stretch
from streams.store.reading import Stored
from streams.windows.measures import DAY_US

LONGEST_DAYS: Final = 7
MANY_ROWS: Final = 100_000
"""A stretch is a day or more, as long as it has about so many rows: 20 MB."""


def run_backtest(
    stored: Stored,
    tenants: Sequence[str],
    policies: Sequence[AlertPolicy],
    begin_us: int,
    end_us: int,
    first_us: int = 0,
    progress: Callable[[int], None] = lambda _: None,
    calendars: Sequence[Calendar] = (),
) -> list[Trial]:
    """What each policy would have told of windows that ended after `begin_us`, up to `end_us`. Blocks.

    `first_us`: there are no windows before. `progress` is told how many of `days_read` days are done.
    """
    trials = [Trial(policy, begin_us, calendars) for policy in policies]
    start_us, done = begin_us - WARM_UP_US, 0
    for tenant in tenants:
        for trial in trials:
            trial.begin()
        after_us, days = _read_from(begin_us, first_us), 1
        while after_us < end_us:
            past = after_us < start_us
            until_us = min(after_us + days * DAY_US, start_us if past else end_us)
            windows = load_stretch(stored, tenant, after_us, until_us, whole_us=until_us if past else 0)
            for trial in trials:
                if past:
                    trial.history(windows)
                else:
                    trial.judge(windows, until_us)
            done += until_us - after_us
            progress(-(-done // DAY_US))
            days = min(2 * days, LONGEST_DAYS) if 2 * windows.height < MANY_ROWS else max(days // 2, 1)
            after_us = until_us
    return trials


def days_read(tenants: int, begin_us: int, end_us: int, first_us: int = 0) -> int:
    """About how many days of windows a backtest reads."""
    return tenants * -((_read_from(begin_us, first_us) - end_us) // DAY_US)


def _read_from(begin_us: int, first_us: int) -> int:
    return max(begin_us - WARM_UP_US - KEPT_US, first_us // DAY_US * DAY_US - DAY_US)
