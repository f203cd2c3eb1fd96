"""The systems that are measured side by side, and how each is configured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Kind = Literal["own", "venv", "java"]

PEERS: Final = Path(__file__).with_name("peers")
_RESULT: Final = ("records", "tokens", "lines", "panes", "line_tokens", "pane_tokens")


@dataclass(frozen=True, slots=True)
class System:
    """A process that reads a topic and says what it found (benchmarks/README.md).

    `folder`: below peers/. `most`: of how many events at most it gets, because it is slow; 0: all. `most_quick`: the same with --quick.
    `says`: the results that it must report.
    """

    name: str
    kind: Kind
    folder: str
    version_of: str
    configuration: str
    most: int = 0
    most_quick: int = 0
    extra: tuple[str, ...] = ()
    says: tuple[str, ...] = _RESULT

    @property
    def directory(self) -> Path:
        return PEERS / self.folder

    def share(self, events: int, *, quick: bool) -> int:
        """How many of the first usage events it gets; 0: all."""
        most = self.most_quick if quick else self.most
        return most if most < events else 0


LIMITS: Final = (
    System(
        "fetch",
        "venv",
        "limit",
        "confluent-kafka",
        "confluent-kafka consume(10000), fetch.queue.backoff.ms=5; values are not looked at",
        extra=("fetch",),
        says=("records",),
    ),
    System(
        "decode",
        "venv",
        "limit",
        "confluent-kafka",
        "the same, decoded to Arrow by pyruhvro",
        extra=("decode",),
        says=("records", "tokens"),
    ),
    System(
        "insert",
        "venv",
        "limit",
        "confluent-kafka",
        "the same, and every row inserted into a table of the shape of usage_events, 100,000 rows an insert, Arrow over HTTP",
        extra=("insert",),
        says=("records", "tokens"),
    ),
)

PEER_SYSTEMS: Final = (
    System(
        "tokenworth",
        "own",
        "tokenworth",
        "tokenworth",
        "the product's fetching, decoding and totals; no dedup, no sink, no join",
    ),
    System(
        "flink",
        "java",
        "flink",
        "flink-streaming-java",
        "DataStream API, keyed process functions with state on the heap, object reuse, POJO serialisers, no checkpoints, max.poll.records=10000, Avro reader reused; ParallelGC, 2 GiB heap",
    ),
    System(
        "kafka_streams",
        "java",
        "kafka_streams",
        "kafka-streams",
        "Processor API, in-memory stores per input partition without changelog, no repartition, one thread, max.poll.records=10000, Avro reader reused; ParallelGC, 2 GiB heap",
    ),
    System(
        "pathway",
        "venv",
        "pathway",
        "pathway",
        "one thread, raw Kafka input with autogenerate_key, a commit a second, fastavro in a Python UDF, groupby and reduce",
        most=500_000,
        most_quick=100_000,
    ),
    System(
        "bytewax",
        "venv",
        "bytewax",
        "bytewax",
        "one worker, batches of 10,000, fastavro, fold_final and fold_window (ordered=False, 30 days of waiting), no recovery",
        most=300_000,
        most_quick=60_000,
    ),
    System(
        "quix",
        "venv",
        "quix",
        "quixstreams",
        "StreamingDataFrame with fastavro, RocksDB state of the message key without changelog, tumbling window, no group_by",
        most=100_000,
        most_quick=30_000,
    ),
    System(
        "faust",
        "venv",
        "faust",
        "faust-streaming",
        "as its documentation teaches: an agent, records, a table and a tumbling table in memory with changelog; no group_by",
        most=20_000,
        most_quick=6_000,
    ),
)
