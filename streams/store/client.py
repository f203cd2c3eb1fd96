"""The connection to ClickHouse: the stock client over HTTP, opened from one URL."""

from __future__ import annotations

import ipaddress
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.errors import ConfigError, StoreUnavailable

SETTING: Final = "TOKENWORTH_CLICKHOUSE"
_FORM: Final = "http[s]://[user[:password]@]host:port/database"
_WRONG_DATABASE, _WRONG_USER = 81, 516

Client = Any
"""clickhouse_connect's client has no types."""


def connect(url: str, **options: Any) -> Client:
    """Connect to the database that `url` names; creates nothing, and fails at once when nobody answers.

    `options` go to clickhouse_connect.get_client. Raises ConfigError (not a URL of a database), StoreUnavailable (nobody answers, unknown
    database or user). A client may be used by several threads.
    """
    at = _address(url)
    # An insert must be on disk when it returns, and statements of several threads must not queue behind one session.
    settings = {"async_insert": 0, **options.pop("settings", {})}
    try:
        return clickhouse_connect.get_client(
            **{**at, "compress": _is_far(at["host"]), "autogenerate_session_id": False, **options}, settings=settings
        )
    except ClickHouseError as error:
        raise _unavailable(at, error) from error


def ensure_database(url: str, cluster: str = "") -> bool:
    """Create the database of `url` if it is missing, on every server of `cluster` if one is named. True when it was missing."""
    at = _address(url)
    client = connect(url, database="default")
    try:
        found = client.query(
            "SELECT 1 FROM system.databases WHERE name = {name:String}", {"name": at["database"]}
        ).row_count
        on_cluster = f" ON CLUSTER {quoted(cluster)}" if cluster else ""
        client.command(f"CREATE DATABASE IF NOT EXISTS {quoted(at['database'])}{on_cluster}")
    except ClickHouseError as error:
        raise _unavailable(at, error) from error
    finally:
        client.close()
    return not found


def database_of(url: str) -> str:
    """The name of the database. Raises ConfigError."""
    return str(_address(url)["database"])


def quoted(identifier: str) -> str:
    """An identifier as SQL."""
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    database = parts.path.strip("/")
    try:
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or not database or "/" in database:
        raise ConfigError(
            SETTING, f"{_without_password(url)!r} does not name a ClickHouse database", remedy=f"write it as {_FORM}"
        )
    return {
        "interface": parts.scheme,
        "host": parts.hostname,
        "port": port,
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else "",
        "database": unquote(database),
    }


def _is_far(host: str) -> bool:
    """Whether a network lies between, so that compressing what is sent is worth its time."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _without_password(url: str) -> str:
    return url.split("://", 1)[0] + "://" + url.rsplit("@", 1)[1] if "@" in url and "://" in url else url


def _unavailable(at: dict[str, Any], error: ClickHouseError) -> StoreUnavailable:
    place = f"{at['interface']}://{at['host']}:{at['port']}"
    if error.code == _WRONG_DATABASE:
        return StoreUnavailable(
            f"ClickHouse at {place} has no database {at['database']!r}", remedy="run: tokenworth init"
        )
    if error.code == _WRONG_USER:
        return StoreUnavailable(
            f"ClickHouse at {place} refuses user {at['username'] or 'default'!r}",
            remedy=f"set user and password in {SETTING}, as {_FORM}",
        )
    reason = str(error).splitlines()[0] if error.code else "nobody answers"
    return StoreUnavailable(
        f"ClickHouse at {place}: {reason}",
        remedy=f"start ClickHouse there (tokenworth up), or set {SETTING} to {_FORM}",
    )
