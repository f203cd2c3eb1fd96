"""Keys and partitions are those of Kafka's own clients."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from streams.config import ITEMS_TOPIC, USAGE_TOPIC
from streams.events.decode import EVENT_OF_TOPIC
from streams.events.keys import murmur2, partition_of, usage_key, work_item_key
from streams.events.partition_column import partitions_of, partitions_of_events
from streams.events.texts import Texts


def test_usage_shares_its_work_items_key() -> None:
    """The join is local only if both sides land in one partition."""
    assert usage_key("acme", "e", "PAY-1", "s") == work_item_key("acme", "PAY-1") == "acme/PAY-1"


@pytest.mark.parametrize(("item", "session"), [(None, "s"), ("", "s")])
def test_usage_without_an_item_is_keyed_by_its_session(item: str | None, session: str) -> None:
    """An empty id is an absent one."""
    assert usage_key("acme", "e", item, session) == "acme/session:s"


def test_usage_without_item_and_session_is_keyed_by_itself() -> None:
    """Every event has a key, so that a retry meets its first copy."""
    assert usage_key("acme", "e", None, "") == "acme/event:e"


def test_known_hashes() -> None:
    """Values of the Java client (org.apache.kafka.common.utils.UtilsTest)."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {data: murmur2(data) for data in known} == {data: hash_ % 2**32 for data, hash_ in known.items()}


@given(st.binary(max_size=64))
def test_murmur2_is_kafka_pythons(data: bytes) -> None:
    """Byte for byte, whatever the length."""
    assert murmur2(data) == kafka_murmur2(data) % 2**32


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(1, 64))
def test_the_column_equals_the_scalar(keys: list[str], partitions: int) -> None:
    """The vectorised path against its reference of a few lines."""
    column = pl.Series(keys, dtype=pl.String)
    assert partitions_of(column, partitions).tolist() == [partition_of(key, partitions) for key in keys]


_NAMES = st.text(max_size=30)


@given(st.lists(st.tuples(_NAMES, _NAMES, _NAMES, _NAMES), max_size=20), st.integers(1, 64))
def test_a_key_need_not_be_made_to_know_its_partition(events: list[tuple[str, str, str, str]], partitions: int) -> None:
    """Of tenant, item, session and event id, each of which may be empty, short or long."""
    columns = [Texts.of(pl.Series([event[k] for event in events], dtype=pl.String)) for k in range(4)]
    expected = [
        partition_of(usage_key(tenant, id_, item, session), partitions) for tenant, item, session, id_ in events
    ]
    assert partitions_of_events(columns, partitions).tolist() == expected


def test_the_column_may_be_a_slice() -> None:
    """A slice shares its parent's buffers."""
    column = pl.Series([f"acme/PAY-{number}" for number in range(10)])
    assert partitions_of(column[3:7], 1 << 20).tolist() == partitions_of(column, 1 << 20).tolist()[3:7]


def test_topics_are_the_configured_ones() -> None:
    """The decoder cannot import the configuration, so this holds the two together."""
    assert EVENT_OF_TOPIC == {USAGE_TOPIC: "usage_event", ITEMS_TOPIC: "work_item_event"}
