"""Rolling windows: sums of panes for every grouping and size (DESIGN.md §6). Times are microseconds UTC."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from tests.oracle.panes import Measures, PaneKey

HOUR_US = 3_600_000_000
SIZES = {
    "1h": (HOUR_US, HOUR_US // 12),
    "24h": (24 * HOUR_US, HOUR_US),
    "7d": (7 * 24 * HOUR_US, 6 * HOUR_US),
    "28d": (28 * 24 * HOUR_US, 24 * HOUR_US),
}
"""Size and slide of each family."""

GROUPINGS: dict[str, tuple[str, ...]] = {
    "tenant": (),
    "team": ("team",),
    "team_tool": ("team", "tool"),
    "team_model": ("team", "model"),
    "team_class": ("team", "work_class"),
    "tenant_tool": ("tool",),
    "tenant_model": ("model",),
    "tenant_class": ("work_class",),
}
"""What each grouping keeps of a pane's key beside the tenant."""

LATENESS_US = 600_000_000


class WindowKey(NamedTuple):
    """Identity of a window; what the grouping does not keep is ''. `end` is exclusive."""

    tenant: str
    grouping: str
    team: str
    tool: str
    model: str
    work_class: str
    size: str
    end: int


def window_ends(pane_start: int, size: str) -> range:
    """The ends of all windows of a family that hold a pane."""
    length, slide = SIZES[size]
    first = (pane_start // slide + 1) * slide
    return range(first, pane_start + length + 1, slide)


def _group(pane: PaneKey, grouping: str, *, with_class: bool = True) -> tuple[str, str, str, str, str, str]:
    kept = GROUPINGS[grouping]
    team, tool, model = (getattr(pane, name) if name in kept else "" for name in ("team", "tool", "model"))
    work_class = pane.work_class if with_class and "work_class" in kept else ""
    return (pane.tenant, grouping, team, tool, model, work_class)


def final_windows(
    panes: dict[PaneKey, Measures], actors: dict[PaneKey, set[str]], watermark: int, lateness_us: int = LATENESS_US
) -> dict[WindowKey, Measures]:
    """Every non-empty window that is final at a watermark, with its `contributors` (those of the group without class)."""
    sums: dict[WindowKey, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    people: dict[WindowKey, set[str]] = defaultdict(set)
    for size in SIZES:
        for grouping in GROUPINGS:
            for pane, measures in panes.items():
                for end in window_ends(pane.start, size):
                    if end + lateness_us <= watermark:
                        window = sums[WindowKey(*_group(pane, grouping), size, end)]
                        for name, amount in measures.items():
                            window[name] += amount
            for pane, names in actors.items():
                for end in window_ends(pane.start, size):
                    people[WindowKey(*_group(pane, grouping, with_class=False), size, end)] |= names
    found: dict[WindowKey, Measures] = {}
    for key, totals in sums.items():
        kept = {name: amount for name, amount in totals.items() if amount}
        if kept:
            crowd = people.get(key._replace(work_class=""), set())
            found[key] = kept | ({"contributors": len(crowd)} if crowd else {})
    return found
