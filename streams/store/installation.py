"""Facts of an installation that must not change under running workers, and the rows that every installation begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from streams.errors import ConfigError, PartitionMismatch, SetupError
from streams.store.rows import TIME
from streams.store.sink import ClickHouseInserts, Sink
from streams.value.documents import Row
from streams.value.prices import PriceBook
from streams.value.rules import Rules

DEFAULT_PRIVACY_FLOOR: Final = 5
_PARTITIONS: Final = "partitions"
_PRIVACY_FLOOR: Final = "privacy_floor"


def install_defaults(client: Any) -> list[str]:
    """Put the shipped value rules and price book, in force from 2015 on, into tables that are empty; returns the names of those filled."""
    filled = []
    for table, rows in (
        ("value_rules", Rules.shipped().rows_for_tables()),
        ("price_book", PriceBook.shipped().rows_for_tables()),
    ):
        if not client.query(f"SELECT count() FROM {table}").result_rows[0][0]:
            insert_values(client, table, rows)
            filled.append(table)
    return filled


def insert_values(client: Any, table: str, rows: Sequence[Row]) -> None:
    """Write rows of value_rules or price_book. The same rows again change nothing."""
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("effective_from").cast(TIME))
    if table == "value_rules":
        frame = frame.with_columns(
            pl.col("rule").cast(pl.UInt16), pl.col("sized").cast(pl.UInt8), pl.col("patterns").cast(pl.List(pl.String))
        )
    Sink(ClickHouseInserts(client), "init").rows(table, frame)


def stored_partitions(client: Any) -> int | None:
    """The partition count that the installation was made with; None when `init` never ran."""
    found = fact(client, _PARTITIONS)
    return int(found) if found else None


def fact(client: Any, name: str) -> str:
    """A fact of the installation; empty when it was never recorded."""
    found = client.query(
        "SELECT value FROM installation FINAL WHERE name = {name:String}", parameters={"name": name}
    ).result_rows
    return str(found[0][0]) if found else ""


def record_fact(client: Any, name: str, value: str) -> None:
    """Record a fact; it never changes."""
    client.command(
        "INSERT INTO installation VALUES ({name:String}, {value:String}, 1)", parameters={"name": name, "value": value}
    )


def fix_partitions(client: Any, partitions: int) -> None:
    """Record the partition count at the first `init`. Raises PartitionMismatch when another one is recorded."""
    stored = stored_partitions(client)
    if stored is None:
        record_fact(client, _PARTITIONS, str(partitions))
    else:
        _same(stored, partitions)


def check_partitions(client: Any, partitions: int) -> None:
    """Raises SetupError when `init` never ran on this database, PartitionMismatch when the topics have another count than is recorded."""
    stored = stored_partitions(client)
    if stored is None:
        raise SetupError("the database was never initialised", remedy="run: tokenworth init")
    _same(stored, partitions)


def privacy_floor(client: Any, tenant: str) -> int:
    """Fewest people of a group that a view shows."""
    found = client.query(
        "SELECT value FROM tenant_settings FINAL WHERE tenant = {tenant:String} AND name = {name:String}",
        parameters={"tenant": tenant, "name": _PRIVACY_FLOOR},
    ).result_rows
    return int(found[0][0]) if found else DEFAULT_PRIVACY_FLOOR


def set_privacy_floor(client: Any, tenant: str, people: int) -> None:
    """Set the floor of a tenant; 0 for data of machines, where nobody can be recognised. Raises ConfigError below 0."""
    if people < 0:
        raise ConfigError(
            "privacy floor", f"{people} is negative", remedy="give the least number of people, 0 for data of machines"
        )
    client.command(
        "INSERT INTO tenant_settings SELECT {tenant:String}, {name:String}, {value:String}, toUnixTimestamp64Micro(now64(6))",
        parameters={"tenant": tenant, "name": _PRIVACY_FLOOR, "value": str(people)},
    )


def _same(stored: int, partitions: int) -> None:
    if stored != partitions:
        raise PartitionMismatch(
            f"this installation has {stored} partitions in ClickHouse, its topics {partitions}",
            remedy="check that TOKENWORTH_KAFKA and TOKENWORTH_CLICKHOUSE belong together, and TOKENWORTH_PARTITIONS; "
            "`tokenworth rebuild --repartition` moves what is stored to another count",
        )
