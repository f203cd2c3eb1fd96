"""Is every stored result what the raw events give? `verify` recomputes all of them with batch SQL and compares.

While workers run, results move on under the comparison. Positions are fixed first and raw rows count below them; a stored row may already
hold more. So whatever differs is compared again, alone and at later positions, until it agrees, the time is up, or nothing moves any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from streams.store.client import Client
from streams.store.recomputed import EVERYTHING, KEEP, Key, Outcome, Recomputed, Scope

TABLES: Final = (
    "usage_events",
    "work_item_events",
    "checkpoints",
    "work_item_usage",
    "work_items",
    "panes",
    "pane_actors",
    "value_windows",
    "v_spend_fate_daily",
    "fates of a day",
)
QUIET_S: Final = 5.0
"""Without a flush or a window step for this long nothing will change by waiting: an idle worker writes what it holds within a second or two."""

Progress = Callable[[str, float], None]
"""Called with what is being compared and the share of the work that is done, 0..1."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table: keys compared and keys that differ, the first of them by name.

    `uncommitted` keys were written by a flush whose position was never reached; the next worker of their partition recomputes them.
    """

    table: str
    rows: int
    different: int
    uncommitted: int = 0
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared. `windows_until_s`: ends (seconds since 1970) up to which final windows were expected; None: see `note`."""

    tables: tuple[TableReport, ...]
    windows_until_s: int | None
    note: str
    seconds: float

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def different(self) -> int:
        return sum(table.different for table in self.tables)

    @property
    def ok(self) -> bool:
        """Everything was compared and nothing differs."""
        return self.different == 0 and not self.note


def verify(
    client: Client,
    *,
    wait_s: float = 60.0,
    allowed_lateness_s: int = 600,
    progress: Progress | None = None,
    rows_per_chunk: int = 4_000_000,
    max_memory_bytes: int = 2 << 30,
    keys_named: int = 20,
) -> VerifyReport:
    """Compare every stored result with the raw events below the positions. Blocks, for minutes on a large store.

    Waits up to `wait_s` for the window agent to reach the positions, and again for differing keys to settle. `allowed_lateness_s` is that of
    the window agent. Needs the right to create a database beside the client's own. Raises what the client raises.
    """
    with Recomputed(client, rows_per_chunk=rows_per_chunk, max_memory_bytes=max_memory_bytes) as run:
        return _Verification(run, wait_s, allowed_lateness_s, progress or (lambda _what, _share: None)).report(
            keys_named
        )


class _Verification:
    def __init__(self, run: Recomputed, wait_s: float, allowed_lateness_s: int, progress: Progress) -> None:
        self.run, self.wait_s, self.lateness_s, self.progress = run, wait_s, allowed_lateness_s, progress
        self.note = ""
        self.windows_until_s: int | None = None

    def report(self, keys_named: int) -> VerifyReport:
        began = time.monotonic()
        outcomes = self._settled(self._all())
        tables = (_table(name, outcomes[name], keys_named) for name in TABLES)
        return VerifyReport(tuple(tables), self.windows_until_s, self.note, time.monotonic() - began)

    def _all(self) -> dict[str, Outcome]:
        """Everything at one position."""
        run = self.run
        run.fix_positions()
        self._await_windows()
        found: dict[str, Outcome] = {}
        chunks = list(run.chunks())
        steps = len(chunks) + 2
        run.find_repeats(chunks)
        _collect(found, run.compare_records())
        for done, chunk in enumerate(chunks):
            self.progress("usage and work items", done / steps)
            _collect(found, run.compare_usage(chunk))
            _collect(found, run.compare_items(chunk))
        self.progress("fates", len(chunks) / steps)
        _collect(found, run.compare_fates(EVERYTHING))
        self.progress("windows", (len(chunks) + 1) / steps)
        if self.windows_until_s is not None:
            _collect(found, run.compare_windows(EVERYTHING, self.windows_until_s))
        self.progress("done", 1.0)
        return {name: found.get(name, _NOTHING) for name in TABLES}

    def _await_windows(self) -> None:
        """Wait until the window agent has reached the fixed positions; without that its windows cannot be judged."""
        deadline = time.monotonic() + self.wait_s
        self.note, self.windows_until_s = "", None
        while True:
            parts, behind, watermark_us, windows = self.run.window_progress()
            if parts and not behind:
                self.windows_until_s = max(watermark_us // 1_000_000 - self.lateness_s, 0)
                return
            if not windows and not parts:
                return  # no window agent has run yet: there is nothing to compare
            if time.monotonic() >= deadline:
                self.note = "value_windows not compared: the window agent has not reached the positions"
                return
            self.progress("waiting for the window agent", 0.0)
            time.sleep(0.5)

    def _settled(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        """The same, once differing keys were compared again at later positions."""
        deadline = time.monotonic() + self.wait_s
        seen, quiet_since = self.run.activity(), time.monotonic()
        pause_s = 0.2
        while any(outcome.different or outcome.moved for outcome in outcomes.values()):
            now = time.monotonic()
            if (activity := self.run.activity()) != seen:
                seen, quiet_since = activity, now
            if now >= deadline or now - quiet_since >= QUIET_S:
                break
            self.progress("comparing again what moved on", 1.0)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
            outcomes = self._again(outcomes)
        return outcomes

    def _again(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        if any(outcome.different > KEEP or outcome.moved > KEEP for outcome in outcomes.values()):
            return self._all()
        run = self.run
        keys = {name: (*outcome.keys, *outcome.moved_keys) for name, outcome in outcomes.items()}
        run.fix_positions()
        if keys["value_windows"]:
            self._await_windows()
        scope = run.want(keys)
        found: dict[str, Outcome] = {}
        _collect(found, self._again_in(scope, windows=bool(keys["value_windows"])))
        return {name: _still(outcome, found.get(name, _NOTHING)) for name, outcome in outcomes.items()}

    def _again_in(self, scope: Scope, *, windows: bool) -> Iterator[tuple[str, Outcome]]:
        run = self.run
        yield from run.compare_records()
        yield from run.compare_usage(scope)
        yield from run.compare_items(scope)
        yield from run.compare_fates(scope)
        if windows and self.windows_until_s is not None:
            yield from run.compare_windows(scope, self.windows_until_s)


_NOTHING: Final = Outcome(0, 0, 0, (), ())


def _collect(found: dict[str, Outcome], outcomes: Iterable[tuple[str, Outcome]]) -> None:
    for name, outcome in outcomes:
        found[name] = found.get(name, _NOTHING) + outcome


def _still(before: Outcome, now: Outcome) -> Outcome:
    """What differed before and still does."""
    known = {*before.keys, *before.moved_keys}
    keys, moved = (tuple(key for key in listed if key in known) for listed in (now.keys, now.moved_keys))
    return replace(before, different=len(keys), moved=len(moved), keys=keys, moved_keys=moved)


def _table(name: str, outcome: Outcome, keys_named: int) -> TableReport:
    return TableReport(name, outcome.rows, outcome.different, outcome.moved, outcome.keys[:keys_named])
