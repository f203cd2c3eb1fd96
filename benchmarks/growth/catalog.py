"""Every curve, in the order in which it is measured and shown. Reasons are checked against the code, not derived from the figures."""

from __future__ import annotations

from typing import Final

from benchmarks.growth.amounts import amounts
from benchmarks.growth.curve import Curve
from benchmarks.growth.grouping import RATE, groups
from benchmarks.growth.joining import duplicates, events, horizon, items, late, partitions, teams
from benchmarks.growth.stored import age, queries, recovery
from benchmarks.growth.workers import workers

_JOIN: Final = {"us": "µs / event", "decode_us": "decode", "apply_us": "apply", "cut_us": "cut", "rows_us": "rows"}
_MS: Final = {f"{name}_ms": f"{name} ms" for name in ("weeks", "hours", "fates", "items", "models", "item", "raw_item")}

CURVES: Final = (
    Curve(
        "items",
        "distinct work items",
        {**_JOIN, "line_bytes": "bytes / line", "state_mib": "state MiB", "resident_mib": "resident MiB"},
        ("us", "line_bytes"),
        "An item is found by one look into a hash table; what rises is that the place is no longer in the processor's caches, and that events of "
        "many items share no ledger line, so that each leaves a row. Memory is a row of fixed width a line and so proportional; a worker lets go of "
        "items beyond 500,000 a partition or idle for the horizon.",
        items,
    ),
    Curve(
        "teams",
        "teams",
        _JOIN,
        ("us",),
        "Batches are read by column, so the number of teams is not seen until the flush: with more teams fewer events share a pane, and a flush "
        "writes more panes and actors. It ends where every event has a pane of its own.",
        teams,
    ),
    Curve(
        "partitions",
        "partitions of one worker",
        _JOIN,
        ("us",),
        "A call on a column has a fixed cost however short the column is, and 64 partitions cut the same flush into batches of a 64th: the curve is flat until "
        "a batch has a few thousand events, then proportional. A worker of many partitions wants a larger flush.",
        partitions,
    ),
    Curve(
        "duplicates",
        "% of records that repeat an earlier one",
        {**_JOIN, "repeats_us": "repeats"},
        ("us",),
        "A repeat is decoded like any record and found by the one look that a new identity needs, too; then it adds nothing, but its content is hashed "
        "and it leaves a row in `duplicates`.",
        duplicates,
        "steps",
    ),
    Curve(
        "late",
        "% of events late by 5 minutes to 3 days",
        {"us": "join µs / event", "windows_us": "windows µs / event", "windows_per_event": "windows / event"},
        ("us", "windows_us"),
        "The join does not care when an event happened. Windows do: an event of two days ago changes up to 12 final windows of an hour, 24 of a day and 28 "
        "of a week in each of its groups. Revisions wait for a minute, so what falls on the same windows meanwhile is written once; "
        "the most that late events can cost is all windows of the horizon once a minute.",
        late,
        "steps",
    ),
    Curve(
        "horizon",
        "identities in the dedup index",
        {**_JOIN, "fill_us": "µs to add one", "id_bytes": "bytes / identity", "state_mib": "index MiB"},
        ("us", "fill_us", "id_bytes"),
        "The index is a table in the order of its hashes: adding looks at one place, which costs a miss of the cache once the table is larger than that, and it "
        "grows by one pass when it is 78 % full. Memory is the rate times the horizon.",
        horizon,
    ),
    Curve(
        "events",
        "events applied before",
        {**_JOIN, "lines": "lines held", "identities": "identities held", "state_mib": "state MiB"},
        ("us",),
        "What an event costs depends on what is held, not on what has been. Until the horizon is full that is more and more, which the processor's caches hold less and less of; "
        "then as much leaves memory as comes, and state stays as it is.",
        events,
    ),
    Curve(
        "groups",
        "series of a tenant (team, tool, model)",
        {
            "us": "µs / window row",
            "cores": "cores",
            "windows_per_s": "window rows / s",
            "series_per_s": "series changed / s",
            "told_per_end": "rows to alerts when windows end",
            "unpack_us": "µs / row unpacked",
            "alert_us": "µs / row judged",
            "state_rows": "rows held",
            "pane_row_bytes": "bytes / pane row",
            "actor_row_bytes": "bytes / actor row",
        },
        ("us",),
        f"{RATE:,} events a second. With few groups a row carries the fixed cost of asking eight groupings and four sizes once a second. With many, "
        "the sums of every series of the tenant are read for the windows that are written, also of those series that did not change.",
        groups,
    ),
    Curve(
        "recovery",
        "identities of a stored partition",
        {
            "us": "µs / identity",
            "take_over_s": "take-over s",
            "first_batch_s": "first batch s",
            "grown_mib": "MiB grown",
        },
        ("us",),
        "A take-over reads the identities of the horizon and the names of stored items, and nothing else: its time is proportional to the horizon, less a "
        "fixed second. Ledger and panes come with the batches that touch them.",
        recovery,
    ),
    Curve(
        "workers",
        "worker processes",
        {"us": "µs / event", "events_per_s": "events / s", "resident_mib": "peak MiB"},
        ("us",),
        "Join partitions are divided among workers without anything shared, so CPU per event stays; the windows of one tenant stay in one worker. "
        "On two cores, which broker and ClickHouse need as well, a second worker finds no core to be faster on.",
        workers,
        "steps",
    ),
    Curve(
        "queries",
        "raw events in ClickHouse",
        {**_MS, "teams": "teams", "result_rows": "result rows"},
        tuple(_MS),
        "Views read results, not raw events; a company with ten times as many raw events has ten times as many teams. So `weeks`, `fates` and `models`, which ask "
        "for all teams, read and return as much more: in proportion once that outweighs the fixed cost of a query. `hours` asks for one team: windows are ordered by "
        "tenant, grouping and team. `fates`, `items`, `models` and `item` join the items with the whole ledger before they choose, and so grow with it. The raw "
        "events of an item are looked for where its ledger lines say that it has some (docs/reference/views.md).",
        queries,
    ),
    Curve(
        "age",
        "raw events of five teams since they began",
        {**_MS, "days": "days", "result_rows": "result rows"},
        tuple(_MS),
        "The same questions to a company that stays as it is: from 4 days to 400. What asks for a month reads the months that it touches, so once there is more than "
        "a month nothing is added but what is read whole: the items and the ledger. `raw_item` opens the index of each month.",
        age,
    ),
    Curve(
        "bytes",
        "what",
        {
            "rows": "rows / event",
            "stored_rows": "stored rows / event",
            "bytes": "bytes",
            "insert_bytes": "Arrow bytes",
            "server_us": "server µs / row",
        },
        (),
        "`bytes`: of a record on its topic (of an event for pane-updates), of an entry in memory, of a stored row with its index. Panes and windows are shared by "
        "the events that fall into them, so their rows per event fall as traffic becomes denser.",
        amounts,
        "parts",
    ),
)  # fmt: skip
"""`bytes` is no curve; it is measured here because the plan past one machine (benchmarks/scaling) needs it from the same machine."""
