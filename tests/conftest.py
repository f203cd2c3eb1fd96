"""Servers that tests share: ClickHouse's HTTP server and brokers of the embedded stack, one of each per session, started at first use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import clickhouse_connect
import hypothesis
import pytest

from streams.local.broker import missing_for_kafka, start_broker
from streams.local.stack import start_clickhouse

hypothesis.settings.register_profile(
    "tokenworth", deadline=None
)  # the first call of a compiled loop takes longer than any other
hypothesis.settings.load_profile("tokenworth")


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """http://127.0.0.1:PORT of a ClickHouse server without databases of its own."""
    path = tmp_path_factory.mktemp("clickhouse")
    server = start_clickhouse(path / "data", path)
    try:
        server.wait_until_ready()
        yield server.address
    finally:
        server.child.stop()


@pytest.fixture
def clickhouse_database(clickhouse_url: str) -> Iterator[str]:
    """URL of an empty database for one test, as the setting `clickhouse` takes it."""
    name = f"test_{uuid4().hex}"
    with closing(clickhouse_connect.get_client(dsn=clickhouse_url, autogenerate_session_id=False)) as client:
        client.command(f"CREATE DATABASE {name}")
        yield f"{clickhouse_url}/{name}"
        client.command(f"DROP DATABASE {name} SYNC")


@pytest.fixture(scope="session")
def tansu_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a Tansu broker; tests take topics and groups with names of their own."""
    yield from _broker("tansu", tmp_path_factory)


@pytest.fixture
def empty_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a Tansu broker of the test's own, on which nobody has created a topic."""
    yield from _broker("tansu", tmp_path_factory)


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a real Apache Kafka broker; tests take topics and groups with names of their own."""
    yield from _broker("kafka", tmp_path_factory)


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker_address(request: pytest.FixtureRequest) -> str:
    """A test that takes this runs once per kind of broker."""
    return str(request.getfixturevalue(f"{request.param}_address"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses Apache Kafka, and skip it with a reason where Java or mvn are missing; CI must have them."""
    missing = missing_for_kafka()
    for item in items:
        if "kafka_address" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
        if missing and not os.environ.get("CI") and item.get_closest_marker("kafka"):
            item.add_marker(pytest.mark.skip(reason=missing))


def _broker(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp(kind)
    broker = start_broker(kind, path / "data", path)
    assert broker.child is not None
    try:
        broker.wait_until_ready()
        yield broker.address
    finally:
        broker.child.stop()
