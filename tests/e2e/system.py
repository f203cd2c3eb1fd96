"""The whole system as a test sees it: a stack that `init` has prepared, its workers, and how far they have come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.agents.initialise import initialise
from streams.agents.topics import end_offsets
from streams.config import INPUT_TOPICS, Settings
from streams.join.input import OFFSET_BITS, OFFSET_MASK
from streams.local.process import Child
from streams.local.stack import Stack
from streams.store.client import Client, connect, ensure_database
from streams.store.positions import SIDE
from streams.store.reading import ClickHouseStored
from streams.store.verify import VerifyReport, verify
from streams.store.windows import load_checkpoints

STOP_S = 10.0
POLL_S = 0.1


@dataclass
class System:
    """A running stack with topics and tables. `client` reads its ClickHouse."""

    stack: Stack
    settings: Settings
    client: Client

    def start_worker(self, name: str, **env: str) -> Child:
        """Start a worker process; its log is logs/NAME.log of the stack."""
        return self.stack.spawn(
            name, [sys.executable, "-m", "streams.cli", "worker"], env={"TOKENWORTH_WATERMARK_IDLE_S": "1"} | env
        )

    def stop_worker(self, worker: Child) -> float:
        """Stop it with SIGTERM: it must end by itself, without an error. Returns the seconds that it took."""
        began = time.monotonic()
        worker.terminate()
        code = worker.join(STOP_S)
        seconds = time.monotonic() - began
        assert code == 0, f"{worker.name} ended with {code} after {seconds:.1f} s\n{worker.log_tail()}"
        self.stack.release(worker)
        return seconds

    def wait(self, ready: Callable[[], bool], what: str, timeout_s: float = 90.0) -> float:
        """Block until `ready()`; fails when a process of the stack has ended, or the time is over. Returns the seconds waited."""
        began = time.monotonic()
        while not ready():
            self.stack.check()
            assert time.monotonic() - began < timeout_s, f"not after {timeout_s:g} s: {what}\n{self.checkpoints()}"
            time.sleep(POLL_S)
        return time.monotonic() - began

    def checkpoints(self) -> list[dict[str, Any]]:
        """The mirrored position and counts of each input partition."""
        return list(self.client.query("SELECT * FROM checkpoints FINAL ORDER BY kpart").named_results())

    def consumed(self) -> int:
        """Records that have become results so far."""
        return sum(row[f"{side}_next"] - row[f"{side}_begin"] for row in self.checkpoints() for side in SIDE.values())

    def wait_until_applied(self, timeout_s: float = 90.0, incarnation: int = 0) -> float:
        """Block until results cover every record that the log has now."""
        ends = {place: incarnation << OFFSET_BITS | end for place, end in end_offsets(self.settings).items() if end}

        def applied() -> bool:
            reached = {
                (topic, row["kpart"]): row[f"{side}_next"] for row in self.checkpoints() for topic, side in SIDE.items()
            }
            return all(reached.get(place, 0) >= end for place, end in ends.items())

        return self.wait(applied, f"results cover {ends}", timeout_s)

    def wait_until_windowed(self, final_us: int, timeout_s: float = 90.0, incarnation: int = 0) -> None:
        """Block until windows cover every record that the log has now, and are final up to an event time."""
        ends = {place: incarnation << OFFSET_BITS | end for place, end in end_offsets(self.settings).items()}
        watermark = final_us + self.settings.allowed_lateness_s * 1_000_000

        def windowed() -> bool:
            for partition in range(self.settings.partitions):
                checkpoint = load_checkpoints(ClickHouseStored(self.client), [partition]).get(partition)
                if checkpoint is None or checkpoint.watermark < watermark:
                    return False
                reached = {
                    (topic, position[0]): position[1 + i]
                    for position in checkpoint.positions
                    for i, topic in enumerate(INPUT_TOPICS)
                }
                if any(reached.get(place, 0) < end for place, end in ends.items()):
                    return False
            return True

        self.wait(windowed, f"windows cover {ends} up to {watermark}", timeout_s)

    def assert_records_add_up(self) -> dict[str, int]:
        """Each record of the log is applied, a duplicate or a dead letter, per partition and topic. Returns the totals."""
        ends = end_offsets(self.settings)
        totals = dict.fromkeys(("consumed", "applied", "duplicates", "dead", "missing"), 0)
        for row in self.checkpoints():
            for topic, side in SIDE.items():
                fates = {fate: row[f"{side}_{fate}"] for fate in ("applied", "duplicates", "dead", "missing")}
                consumed = row[f"{side}_next"] - row[f"{side}_begin"]
                place = f"{topic}[{row['kpart']}]"
                next_offset = row[f"{side}_next"] & OFFSET_MASK
                assert next_offset == ends[topic, row["kpart"]], (
                    f"{place}: results up to {next_offset}, the log ends at {ends[topic, row['kpart']]}"
                )
                assert sum(fates.values()) == consumed, f"{place}: {fates} of {consumed}"
                for name, count in (fates | {"consumed": consumed}).items():
                    totals[name] += count
        assert totals["consumed"] == sum(ends.values()) - sum(
            row[f"{side}_begin"] & OFFSET_MASK for row in self.checkpoints() for side in SIDE.values()
        )
        return totals

    def assert_verified(self) -> VerifyReport:
        """Every stored result, recomputed from the raw events, is equal."""
        report = verify(self.client, allowed_lateness_s=self.settings.allowed_lateness_s)
        different = [
            f"{table.table}: {table.different} of {table.rows}: {table.keys}"
            for table in report.tables
            if table.different
        ]
        assert report.ok, "\n".join((*different, report.note))
        assert all(table.rows for table in report.tables), report
        return report


@contextmanager
def running_system(
    data_dir: Path, broker: str, *, prepare: Callable[[Client], None] = lambda _: None, **settings: Any
) -> Iterator[System]:
    """A stack after `init`, without workers. `prepare` may fill tables of the new database before `init` does."""
    with Stack(data_dir, broker) as stack:
        found = Settings(kafka=stack.kafka, clickhouse=stack.clickhouse, data_dir=data_dir, **settings)
        ensure_database(found.clickhouse)
        client = connect(found.clickhouse)
        try:
            prepare(client)
            initialise(found)
            yield System(stack, found, client)
        finally:
            client.close()
