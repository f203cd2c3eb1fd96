"""The canonical key of an event, and the partition that Kafka's default partitioner gives it.

Usage and outcome of one work item share a key, hence a partition, hence a worker: that makes the join local.
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def work_item_key(tenant: str, work_item_id: str) -> str:
    """The key of every event of a work item."""
    return f"{tenant}/{work_item_id}"


def usage_key(tenant: str, event_id: str, work_item_id: str | None = None, session_id: str | None = None) -> str:
    """The key of a usage event: its work item's; without one its session's; without that its own. '' is absent."""
    if work_item_id:
        return f"{tenant}/{work_item_id}"
    if session_id:
        return f"{tenant}/session:{session_id}"
    return f"{tenant}/event:{event_id}"


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 of `data`, as an unsigned 32-bit integer."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length != whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key among `partitions`, as Kafka's default partitioner places it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
