"""What `tokenworth init` does; run again, it changes nothing that is there."""

from __future__ import annotations

from dataclasses import dataclass

from streams.agents.topics import create_topics
from streams.config import Settings
from streams.store.client import connect, ensure_database
from streams.store.installation import fix_partitions, install_defaults
from streams.store.migrations import migrate


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was missing and is there now."""

    partitions: int
    topics: list[str]
    database: bool
    migrations: list[str]
    defaults: list[str]


def initialise(settings: Settings) -> Initialised:
    """Topics with equal partition counts, database, tables, default rules and prices. Blocks for seconds.

    Raises SetupError: broker or ClickHouse away, another partition count than before, a migration that was refused.
    """
    database = ensure_database(settings.clickhouse, settings.clickhouse_cluster)
    client = connect(settings.clickhouse)
    try:
        migrations = migrate(client, settings.clickhouse_cluster)
        fix_partitions(client, settings.partitions)
        defaults = install_defaults(client)
    finally:
        client.close()
    topics = create_topics(settings)
    return Initialised(settings.partitions, topics, database, migrations, defaults)
