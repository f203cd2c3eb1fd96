"""A prepared system per module and kind of broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.store.client import Client
from streams.store.installation import insert_values
from streams.store.migrations import migrate
from tests.e2e.system import System, running_system
from tests.oracle.value import SAMPLE_PRICES


@pytest.fixture(scope="module", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Broker, ClickHouse, topics of 3 partitions and tables, with the oracle's price book. No workers."""
    with running_system(
        tmp_path_factory.mktemp(request.param), request.param, prepare=install_sample_prices, partitions=3
    ) as found:
        yield found


def install_sample_prices(client: Client) -> None:
    migrate(client)
    insert_values(client, "price_book", [line._asdict() for line in SAMPLE_PRICES])
