"""One prepared system on Apache Kafka for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Broker, ClickHouse, topics of 4 partitions and tables. No workers."""
    with running_system(tmp_path_factory.mktemp("kafka"), "kafka", partitions=4) as found:
        yield found
