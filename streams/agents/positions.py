"""Where an input partition goes on at a take-over: what the group has committed, the mirror in ClickHouse and the log have to say about it.

| found | what follows |
|---|---|
| both positions | the lower one; a mirror behind the group (ClickHouse was restored) is read again from Kafka, with a warning |
| no position of the group, none of the mirror | the begin of the log |
| no position of the group, one of the mirror; or a topic has another id | a new incarnation: the old one is closed at the mirror, both logs are read from their begin |
| the log begins after the position (in a new incarnation: after the mirror, if the topic is the same): records were lost | the worker stops; with `accept_loss` it goes on at the begin, records the gap and rebuilds |
| the log ends before the position: records were lost | the worker stops; with `accept_loss` a new incarnation |

Results are computed again from raw events (agents/rebuilding.py) in a new incarnation that is not the first, and after a gap: a flush that was
never committed may have left raw rows of records in the gap, which count from now on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from streams.config import INPUT_TOPICS
from streams.errors import LogLost
from streams.store.positions import LIVES, SIDE, Incarnation, Mirror

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Log:
    """A partition of one topic as Kafka has it: the group's position (None: it has none), the log's begin and end, the topic's id."""

    committed: int | None
    begin: int
    end: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition goes on: next offset of each topic, and the lives of the partition, the last of which goes on."""

    offsets: dict[str, int]
    lives: list[Incarnation]
    opened: bool
    gap: bool = False

    @property
    def rebuilds(self) -> bool:
        """Whether stored results must be computed again."""
        return self.gap or (self.opened and len(self.lives) > 1)

    def closed(self, topic: str) -> tuple[int, ...]:
        """The ends of the former lives of a topic."""
        return tuple(getattr(life, f"{SIDE[topic]}_end") for life in self.lives[:-1])


def start(
    kpart: int,
    logs: Mapping[str, Log],
    mirror: Mirror | None,
    lives: Sequence[Incarnation],
    *,
    epoch: int,
    accept_loss: bool = False,
) -> Start:
    """Decide where a partition goes on (the table above). Raises LogLost where records were lost and that is not accepted."""
    current = lives[-1] if lives else _life(kpart, len(lives), logs, epoch, "first read")
    mirrored = _mirrored(mirror, current.incarnation)
    reason = _reason(logs, current, mirrored)
    offsets, gap = {}, False
    for topic, found in logs.items():
        position = found.begin if found.committed is None else found.committed
        # Without a mirror the store holds nothing of this life: it is new, or the store was restored to before its first flush.
        stored = min(found.begin, position) if mirrored is None else mirrored[topic]
        if stored < position and not reason:
            log.warning(
                "ClickHouse is behind the group, reading again",
                topic=topic, partition=kpart, position=position, stored=stored,
            )  # fmt: skip
            position = stored
        expected = position
        if reason:  # a new life reads on in a topic that is still the same where the mirror ended
            expected = mirrored[topic] if mirrored is not None and _same(topic, found, current) else found.begin
        if found.begin > expected and not accept_loss:
            raise records_lost(topic, kpart, found.begin, expected)
        if not reason and found.end < position:
            if not accept_loss:
                raise LogLost(
                    f"{topic}[{kpart}]: the log ends at {found.end}, before the position {position}",
                    remedy="Kafka lost records that it had acknowledged: start the worker once with --accept-loss to read what is there",
                )
            reason = f"{topic} ended before the position"
        # Without a mirror rows of a flush that never ended may lie anywhere below the begin (a store restored to the middle of its first one).
        gap |= found.begin > (0 if lives and mirrored is None else position)
        offsets[topic] = max(position, found.begin)
    if not reason:
        return Start(offsets, [*lives[:-1], current], not lives, gap)
    usage_end, items_end = ((mirrored or {}).get(topic, 0) for topic in INPUT_TOPICS)
    closed = replace(current, usage_end=usage_end, items_end=items_end)
    opened = _life(kpart, current.incarnation + 1, logs, epoch, reason)
    log.warning("a new incarnation begins", partition=kpart, incarnation=opened.incarnation, reason=reason)
    begins = {topic: found.begin for topic, found in logs.items()}
    return Start(begins, [*lives[:-1], closed, opened], opened=True)


def records_lost(topic: str, kpart: int, begin: int, position: int) -> LogLost:
    """The log begins after the position."""
    return LogLost(
        f"{topic}[{kpart}]: the log begins at {begin}, {begin - position} records after the position {position}",
        remedy="Kafka's retention deleted records before they were read: raise retention.ms of the topic, and start the "
        "worker once with --accept-loss to go on without them",
    )


def _life(kpart: int, number: int, logs: Mapping[str, Log], epoch: int, reason: str) -> Incarnation:
    usage, items = (logs[topic].topic_id for topic in INPUT_TOPICS)
    return Incarnation(kpart, number, usage, items, LIVES, LIVES, epoch, reason)


def _mirrored(mirror: Mirror | None, incarnation: int) -> dict[str, int] | None:
    """Offsets of the mirror, if it is of this incarnation."""
    if mirror is None or mirror.incarnation != incarnation:
        return None
    return {topic: mirror.offset(topic) for topic in INPUT_TOPICS}


def _same(topic: str, found: Log, current: Incarnation) -> bool:
    """Whether a topic is the one that this life reads, as far as the broker can tell."""
    known = getattr(current, f"{SIDE[topic]}_topic_id")
    return not known or not found.topic_id or known == found.topic_id


def _reason(logs: Mapping[str, Log], current: Incarnation, mirrored: Mapping[str, int] | None) -> str:
    """Why a new incarnation must begin; empty: it need not."""
    for topic, found in logs.items():
        if not _same(topic, found, current):
            return f"{topic} was created anew"
    for topic, found in logs.items():
        if found.committed is None and mirrored is not None and mirrored[topic]:
            return f"the group lost its position in {topic}"
    return ""
