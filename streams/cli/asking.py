"""Questions to ClickHouse: one tenant, one named query, rows as dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from streams.cli.settings import load_settings
from streams.errors import ConfigError, SetupError

if TYPE_CHECKING:
    import polars as pl

    from streams.store.reading import Stored

Tenant = Annotated[str, typer.Option("--tenant", help="Needed where there are several.")]
Answer = TypeVar("Answer")
Rows = list[dict[str, Any]]


def ask(name: str, tenant: str, **parameters: Any) -> Rows:
    """Rows of the query for the tenant, or for the only one. Raises ConfigError when there are several, SetupError when `init` never ran."""
    return Question(tenant).rows(name, **parameters)


class Question:
    """A connection, and the tenants that are meant once somebody asks for them."""

    def __init__(self, tenant: str) -> None:
        from streams.store.client import connect  # noqa: PLC0415 - keeps --help instant

        self.client = connect(load_settings().clickhouse)
        self._named = tenant

    @cached_property
    def tenants(self) -> list[str]:
        """The one that was named, or all there are."""
        from streams.store.windows import tenants  # noqa: PLC0415

        return [self._named] if self._named else sorted(self.read(tenants))

    @property
    def tenant(self) -> str:
        """The one that was named, or the only one. Raises ConfigError when there are several."""
        if len(self.tenants) > 1:
            there = ", ".join(self.tenants)
            raise ConfigError("--tenant", "several tenants are there", remedy=f"name one of {there}")
        return self.tenants[0] if self.tenants else ""

    def rows(self, name: str, **parameters: Any) -> Rows:
        """Rows of `queries/<name>.sql`."""
        from streams.store.reading import read  # noqa: PLC0415

        return self.asked(lambda: read(self.client, name, tenant=self.tenant, **parameters).to_dicts())

    def read(self, load: Callable[[Stored], Answer]) -> Answer:
        """What a loader of the store finds."""
        from streams.store.reading import ClickHouseStored  # noqa: PLC0415

        return self.asked(lambda: load(ClickHouseStored(self.client)))

    def write(self, table: str, rows: pl.DataFrame) -> None:
        """Insert rows."""
        from streams.store.sink import ClickHouseInserts, Sink  # noqa: PLC0415

        self.asked(lambda: Sink(ClickHouseInserts(self.client), "command").rows(table, rows))

    @staticmethod
    def asked(question: Callable[[], Answer]) -> Answer:
        from clickhouse_connect.driver.exceptions import DatabaseError  # noqa: PLC0415

        try:
            return question()
        except DatabaseError as error:
            if error.code == _UNKNOWN_TABLE:
                raise SetupError(
                    "the database has no tables of tokenworth, or old ones", remedy="run: tokenworth init"
                ) from error
            raise


_UNKNOWN_TABLE = 60
