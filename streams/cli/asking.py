"""Questions to ClickHouse: one tenant, one named query, rows as dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from streams.cli.settings import load_settings
from streams.errors import ConfigError, SetupError

Tenant = Annotated[str, typer.Option("--tenant", help="Needed where there are several.")]
Answer = TypeVar("Answer")
Rows = list[dict[str, Any]]


def ask(name: str, tenant: str, **parameters: Any) -> Rows:
    """Rows of the query for the tenant, or for the only one. Raises ConfigError when there are several, SetupError when `init` never ran."""
    return Question(tenant).rows(name, **parameters)


class Question:
    """A connection and the tenant that is meant."""

    def __init__(self, tenant: str) -> None:
        from streams.store.client import connect  # noqa: PLC0415 - keeps --help instant

        self.client = connect(load_settings().clickhouse)
        self.tenant = tenant or self._only_tenant()

    def rows(self, name: str, **parameters: Any) -> Rows:
        """Rows of `queries/<name>.sql`."""
        from streams.store.reading import read  # noqa: PLC0415

        return self._asked(lambda: read(self.client, name, tenant=self.tenant, **parameters).to_dicts())

    def _only_tenant(self) -> str:
        from streams.store.reading import ClickHouseStored  # noqa: PLC0415
        from streams.store.windows import tenants  # noqa: PLC0415

        there = sorted(self._asked(lambda: tenants(ClickHouseStored(self.client))))
        if len(there) > 1:
            raise ConfigError("--tenant", "several tenants are there", remedy=f"name one of {', '.join(there)}")
        return there[0] if there else ""

    @staticmethod
    def _asked(question: Callable[[], Answer]) -> Answer:
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
