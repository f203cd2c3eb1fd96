"""The ledger and the panes of a partition: what each usage event adds, one compiled loop per step over a batch.

items  tenant and work item: name, first line           lines  (item, day, series): sums, latest event; the next line of the item
panes  (pane number, series): sums                      series (tenant, team, tool, model): join/series.py

A line or pane is a row of a table; sums are Int64 in the order of LINE_MEASURES and USAGE_MEASURES.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.compiled import Number, compiled
from streams.join.idle import Order, move_to_end
from streams.join.table import Table, place, touch
from streams.windows.measures import DAY_US, LINE_MEASURES, PANE_US, TOKEN_BUCKETS, USAGE_MEASURES

Array = npt.NDArray[Any]

PER_TOKENS: Final = 1_000_000
BUCKETS: Final = len(TOKEN_BUCKETS)
COUNTED: Final = (*TOKEN_BUCKETS, "reasoning_tokens", "tokens", "standard_cost_micro_usd")
"""What each event counts for, columns of `counted`."""
_TOKENS, _COST = COUNTED.index("tokens"), COUNTED.index("standard_cost_micro_usd")
FULL, PARTIAL, UNKNOWN = 0, 1, 2
"""Usage qualities."""

_LINE: Final = LINE_MEASURES.index
_PANE: Final = USAGE_MEASURES.index
_L_REQUESTS, _L_KNOWN, _L_INCOMPLETE, _L_COUNTED = (
    _LINE("requests"), _LINE("known_requests"), _LINE("incomplete_events"), _LINE(COUNTED[0]),
)  # fmt: skip
_L_BILLED, _L_OTHER = _LINE("cost_micro_usd"), _LINE("other_cost_micro_usd")
_P_REQUESTS, _P_FAILED, _P_PARTIAL, _P_UNKNOWN = (
    _PANE("requests"), _PANE("failed_requests"), _PANE("partial_requests"), _PANE("unknown_requests"),
)  # fmt: skip
_P_UNPRICED, _P_WITHOUT_COST, _P_COUNTED = _PANE("unpriced_requests"), _PANE("requests_without_cost"), _PANE(COUNTED[0])
_P_BILLED, _P_OTHER = _PANE("cost_micro_usd"), _PANE("other_cost_micro_usd")
_P_UNATTRIBUTED, _P_ENABLING, _P_REPEATED = (
    _PANE("unattributed_requests"), _PANE("enabling_requests"), _PANE("repeated_prompts"),
)  # fmt: skip
assert LINE_MEASURES[_L_COUNTED : _L_COUNTED + len(COUNTED)] == COUNTED
assert USAGE_MEASURES[_P_COUNTED : _P_COUNTED + len(COUNTED)] == COUNTED


class Facts(NamedTuple):
    """A batch of usage as the loops read it, one entry per event: Int64 but `series` int32 and the flags uint8.

    `tokens`: the five buckets and the reasoning tokens. `reported`: cost, 0 where there is none. `quality`: FULL, PARTIAL or UNKNOWN.
    """

    at: Array
    series: Array
    requests: Array
    tokens: tuple[Array, ...]
    reported: Array
    has_cost: Array
    quality: Array
    billed: Array
    ok: Array
    enabling: Array
    has_prompt: Array


class Items(NamedTuple):
    """Columns of items: `name` [2, 4] uint32, the views of tenant and work item, `line` number + 1 of the first line, `with_outcome` whether
    its outcome depends on its usage."""

    table: Table
    name: Array
    line: Array
    with_outcome: Array
    order: Order


class Lines(NamedTuple):
    """Columns of lines: `sums` [LINE_MEASURES], `last_at`, `next` number + 1 of the item's next line."""

    table: Table
    sums: Array
    last_at: Array
    next: Array


class Panes(NamedTuple):
    """Columns of panes: `sums` [USAGE_MEASURES]."""

    table: Table
    sums: Array
    order: Order


@compiled
def counted(facts: Facts, changes: Array, models: Array, prices: Array, out: Array, priced: Array) -> None:
    """What each event counts for (COUNTED), and whether the book has its model. `changes`, `models`, `prices`: join/series.py.

    Standard cost: the sum of tokens times price over the buckets, rounded half-up once (VALUE.md §2). Int64 is exact: a bucket holds at most
    10^9 tokens and a price is at most 10^9, so the sum of five products and the half is at most 5 * 10^18 + 500,000. Of unknown usage all is 0.
    """
    for i in range(len(facts.at)):
        change = len(changes) - 1
        while change > 0 and changes[change] > facts.at[i]:
            change -= 1
        price = prices[change, models[facts.series[i]]]
        priced[i] = price[BUCKETS]
        if facts.quality[i] == UNKNOWN:
            out[i] = 0
            continue
        total, cost = 0, PER_TOKENS // 2
        for k in range(BUCKETS):
            tokens = facts.tokens[k][i]
            out[i, k] = tokens
            total += tokens
            cost += tokens * price[k]
        out[i, BUCKETS] = facts.tokens[BUCKETS][i]
        out[i, _TOKENS] = total
        out[i, _COST] = cost // PER_TOKENS


@compiled
def place_items(
    new: Array, keys: Array, tenants: Array, tenant_data: Array, names: Array, name_data: Array, items: Items, text: Array, used: Number,
    watermark: Number, cut: Number, rows: Array,
) -> Number:  # fmt: skip
    """The row of each new event's item, -1 where it has none. Names of new items go to `text` from `used` on; returns what is used then."""
    for i in range(len(new)):
        if not new[i] or not names[i, 0]:
            rows[i] = -1
            continue
        row, begun = place(items.table, keys[i, 0], keys[i, 1])
        if begun:
            used = keep_text(tenants[i], tenant_data, items.name[row, 0], text, used)
            used = keep_text(names[i], name_data, items.name[row, 1], text, used)
        move_to_end(items.order, row, watermark, cut)
        rows[i] = row
    return used


@compiled
def keep_text(view: Array, data: Array, to: Array, text: Array, used: Number) -> Number:
    """Copy a text of `data` behind the `used` bytes of `text`, and its view, which may stand where it goes to."""
    for k in range(4):
        to[k] = view[k]
    if view[0] > 12:
        begin = np.int64(view[3])
        for k in range(np.int64(view[0])):
            text[used + k] = data[begin + k]
        to[2] = 0
        to[3] = used
        used += np.int64(view[0])
    return used


@compiled
def add_to_lines(new: Array, rows: Array, facts: Facts, amounts: Array, items: Items, lines: Lines) -> None:
    """Add each new event that has an item to its line."""
    for i in range(len(new)):
        item = rows[i]
        if item < 0:
            continue
        line = place_line(items, lines, item, facts.at[i] // DAY_US, facts.series[i])
        sums, requests = lines.sums[line], facts.requests[i]
        sums[_L_REQUESTS] += requests
        if facts.quality[i] != UNKNOWN:
            sums[_L_KNOWN] += requests
            sums[_L_BILLED if facts.billed[i] else _L_OTHER] += facts.reported[i]
        if facts.quality[i] != FULL:
            sums[_L_INCOMPLETE] += 1
        for k in range(len(COUNTED)):
            sums[_L_COUNTED + k] += amounts[i, k]
        lines.last_at[line] = max(lines.last_at[line], facts.at[i])
        touch(lines.table, line)
        if items.with_outcome[item]:
            touch(items.table, item)


@compiled
def place_line(items: Items, lines: Lines, item: Number, day: Number, series: Number) -> Number:
    """The line of an item, begun at zero if need be."""
    line, begun = place(lines.table, np.uint64(item) << np.uint64(32) | np.uint64(day), np.uint64(series))
    if begun:
        lines.next[line] = items.line[item]
        items.line[item] = line + 1
    return line


@compiled
def add_to_panes(
    new: Array, facts: Facts, amounts: Array, priced: Array, has_item: Array, first_prompt: Array, panes: Panes,
    watermark: Number, cut: Number,
) -> None:  # fmt: skip
    """Add each new event to its pane."""
    for i in range(len(new)):
        if not new[i]:
            continue
        pane, _ = place(panes.table, np.uint64(facts.at[i] // PANE_US), np.uint64(facts.series[i]))
        sums, requests = panes.sums[pane], facts.requests[i]
        sums[_P_REQUESTS] += requests
        if not facts.ok[i]:
            sums[_P_FAILED] += requests
        if facts.quality[i] == PARTIAL:
            sums[_P_PARTIAL] += requests
        if facts.quality[i] == UNKNOWN:
            sums[_P_UNKNOWN] += requests
        else:
            sums[_P_BILLED if facts.billed[i] else _P_OTHER] += facts.reported[i]
        if not priced[i]:
            sums[_P_UNPRICED] += requests
        if not facts.has_cost[i]:
            sums[_P_WITHOUT_COST] += requests
        for k in range(len(COUNTED)):
            sums[_P_COUNTED + k] += amounts[i, k]
        if not has_item[i]:
            fate = _P_ENABLING if facts.enabling[i] else _P_UNATTRIBUTED
            sums[fate] += requests
            sums[fate + 1] += amounts[i, _TOKENS]
            sums[fate + 2] += amounts[i, _COST]
        if facts.has_prompt[i]:
            sums[_P_REPEATED] += requests - first_prompt[i]
        touch(panes.table, pane)
        move_to_end(panes.order, pane, watermark, cut)


@compiled
def lines_of(items: Items, lines: Lines, rows: Array, out: Array, ends: Array) -> Number:
    """The lines of items, one item after the other, and where those of each end; returns how many there are, also those that had no room."""
    found = 0
    for i in range(len(rows)):
        line = items.line[rows[i]] - 1
        while line >= 0:
            if found < len(out):
                out[found] = line
            found += 1
            line = lines.next[line] - 1
        ends[i] = found
    return found


@compiled
def place_stored(
    rows: Array, days: Array, series: Array, sums: Array, last_at: Array, items: Items, lines: Lines
) -> None:
    """Add stored sums to the lines of items."""
    for i in range(len(rows)):
        line = place_line(items, lines, rows[i], days[i], series[i])
        for k in range(sums.shape[1]):
            lines.sums[line, k] += sums[i, k]
        lines.last_at[line] = max(lines.last_at[line], last_at[i])


@compiled
def move_texts(table: Table, names: Array, text: Array, to: Array) -> Number:
    """Copy the names of items to another buffer, and point them there; returns what is used of it."""
    used = 0
    for slot in range(len(table.slots)):
        row = table.slots[slot] - 1
        if row >= 0:
            for k in range(2):
                used = keep_text(names[row, k], text, names[row, k], to, used)
    return used
