"""A prepared system for worker processes that are stopped, starved and broken. Tansu: it starts at once."""

from __future__ import annotations

from collections.abc import Iterator

import aiokafka.consumer.fetcher as fetching
import pytest

from tests.e2e.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Broker, ClickHouse, topics of 2 partitions and tables. No workers."""
    with running_system(tmp_path_factory.mktemp("tansu"), "tansu", partitions=2) as found:
        yield found


@pytest.fixture(autouse=True)
def own_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that runs the transport leaves aiokafka's reader of fetches as it was."""
    monkeypatch.setattr(fetching, "PartitionRecords", fetching.PartitionRecords)
