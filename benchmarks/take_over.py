"""How long the take-over of a large partition lasts: `python -m benchmarks.take_over --lines 1000000 --ids 10000000`.

Fills one partition of a new embedded ClickHouse with raw usage of a week and the ledger of a month (generated inside the engine), then loads
it as a worker does that takes it over, and applies one batch that touches items of the whole ledger.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import polars as pl

from streams.join.input import Input
from streams.join.partition import JoinPartition
from streams.local.stack import Stack
from streams.store.client import connect, ensure_database
from streams.store.migrations import migrate
from streams.store.positions import mirrors
from streams.store.reading import ClickHouseStored
from streams.store.recovery import hydrate_usage, load
from streams.value.prices import PriceBook
from streams.value.rules import Rules
from streams.windows.measures import DAY_US
from tests.frames import usage_frame
from tests.strategies import usage_event

END_S: Final = 1_790_000_000
PER_INSERT: Final = 1_000_000

RAW: Final = """
INSERT INTO usage_events
    (kpart, incarnation, koff, version, appended_at, event_id, occurred_at, tenant, source, team, actor, tool, provider, model, operation,
     activity, work_item_id, session_id, prompt_fingerprint, input_tokens, output_tokens, requests, usage_quality, cost_basis, status)
SELECT
    0, 0, number, 1099511627776, toDateTime64(at, 6, 'UTC'), toString(generateUUIDv4()), toDateTime64(at, 6, 'UTC') AS at_, 'acme', 'gateway',
    concat('team-', toString(number % 50)), concat('actor-', toString(number % 500)), 'cli', 'a', 'claude-sonnet-4-5', 'chat', '',
    concat('ITEM-', toString(number % {items})), '', '', 1000, 100, 1, 'full', 'list', 'ok'
FROM (SELECT number, {end} - 604800 + number * 604800 / {ids} AS at FROM numbers({first}, {count}))
"""
LINES: Final = """
INSERT INTO work_item_usage
    (kpart, tenant, work_item_id, usage_day, team, tool, model, requests, known_requests, input_tokens, output_tokens, tokens,
     standard_cost_micro_usd, last_at, usage_next, items_next, version)
SELECT
    0, 'acme', concat('ITEM-', toString(intDiv(number, 4))), toDate({end}) - number % 4, concat('team-', toString(number % 50)), 'cli',
    'claude-sonnet-4-5', 10, 10, 10000, 1000, 11000, 45000, toDateTime64({end} - number % 4 * 86400, 6, 'UTC'), 10, 0, 1099511627776
FROM numbers({first}, {count})
"""
CHECKPOINT: Final = """
INSERT INTO checkpoints (kpart, usage_next, items_next, usage_watermark, items_watermark, usage_applied, epoch, version)
VALUES (0, {ids}, 0, toDateTime64({end}, 6, 'UTC'), toDateTime64(0, 6, 'UTC'), {ids}, 1, 1099511627776)
"""


def measure(client: Any, lines: int, ids: int) -> dict[str, float]:
    """Fill, take over, apply; seconds and MiB."""
    items = lines // 4
    for sql, total in ((RAW, ids), (LINES, lines)):
        for first in range(0, total, PER_INSERT):
            count = min(PER_INSERT, total - first)
            client.command(sql.format(end=END_S, ids=ids, items=items, first=first, count=count))
    client.command(CHECKPOINT.format(end=END_S, ids=ids))
    stored = ClickHouseStored(client)
    state = JoinPartition(0, 7 * DAY_US, Rules.shipped(), PriceBook.shipped())
    state.usage = Input(next_offset=ids)
    before = _rss_mib()
    began, cpu = time.monotonic(), time.process_time()
    load(stored, state, mirrors(stored, [0])[0])
    loaded, loaded_cpu = time.monotonic() - began, time.process_time() - cpu
    events = [
        usage_event(
            f"new-{i}", END_S * 1_000_000 + i, work_item_id=f"ITEM-{i * 37 % items}", team=f"team-{i % 50}", tool="cli"
        )
        for i in range(20_000)
    ]
    batch: pl.DataFrame = usage_frame(events, ids)
    began = time.monotonic()
    hydrate_usage(stored, state, batch)
    hydrated = time.monotonic() - began
    began = time.monotonic()
    state.apply_usage(batch)
    applied = time.monotonic() - began
    return {
        "ledger_lines": lines, "ids": ids, "take_over_s": loaded, "take_over_cpu_s": loaded_cpu, "ids_kept": len(state.dedup),
        "first_batch_look_up_s": hydrated, "first_batch_apply_s": applied, "grown_mib": _rss_mib() - before,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def _rss_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def main() -> None:
    """Parse, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--ids", type=int, default=10_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Stack(Path(directory), "tansu") as stack:
        ensure_database(stack.clickhouse)
        client = connect(stack.clickhouse)
        migrate(client)
        sys.stdout.write(
            json.dumps({k: round(v, 2) for k, v in measure(client, given.lines, given.ids).items()}) + "\n"
        )
        client.close()


if __name__ == "__main__":
    main()
