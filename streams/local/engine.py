"""ClickHouse's own engine (chDB) in this process: a request in, formatted bytes out.

Every request runs on a connection of its own, which costs half a millisecond and gives HTTP's semantics for nothing: settings, the current
database, temporary tables and parameters end with the request. A session is a connection that is kept.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import chdb

from streams.errors import StoreUnavailable
from streams.local.statement import Statement

# Rows are there when an insert returns (tokenworth needs it), and `1 + 1` alone is no query (as in the server).
_SETTINGS = {"async_insert": 0, "implicit_select": 0}
_CODE = re.compile(r"Code: (\d+)")
_UNPRINTABLE = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\0": "\\0"}


class Refused(Exception):
    """The engine, or the protocol, refuses a request; `code` is ClickHouse's own, and the text has ClickHouse's form."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @classmethod
    def because(cls, code: int, name: str, message: str) -> Refused:
        """A refusal that the engine has not worded."""
        return cls(code, f"Code: {code}. DB::Exception: {message}. ({name})")


@dataclass(frozen=True)
class ExternalTable:
    """A table that a client sends along with its query."""

    name: str
    structure: str  # column definitions
    format: str
    data: bytes


@dataclass(frozen=True)
class Request:
    """One statement and everything that the client sends beside it."""

    statement: Statement
    mark: str  # names the running query for `stop_read`; letters and digits
    database: str = ""
    format: str = "TabSeparated"  # where the statement names none
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None  # of an INSERT
    compression: str = ""  # of the data
    tables: tuple[ExternalTable, ...] = ()
    session: str = ""
    session_timeout_s: float = 60.0
    session_must_exist: bool = False


@dataclass(frozen=True)
class Answer:
    """A result in the format asked for, and what it took."""

    body: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    elapsed_s: float = 0.0


@dataclass
class _Session:
    connection: chdb.state.sqlitelike.Connection
    expires: float = 0.0
    busy: bool = False


class Engine:
    """The data directory, open. Safe to use from many threads; one process at a time."""

    def __init__(self, path: Path, *, memory_bytes: int) -> None:
        """Open `path`. Raises StoreUnavailable when the engine cannot."""
        limits = {"max_memory_usage": memory_bytes * 3 // 4, "max_server_memory_usage": memory_bytes}
        options = "&".join(f"{name}={value}" for name, value in (_SETTINGS | limits).items())
        self._address = f"{path.resolve()}?{options}"
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        try:
            self._root = chdb.connect(self._address)  # keeps the engine open between requests
        except RuntimeError as error:
            raise StoreUnavailable(f"{path}: ClickHouse's engine cannot open this directory: {error}") from error
        self.version = str(self._root.query("SELECT version()", "TabSeparated").bytes().decode().strip())

    def execute(self, request: Request) -> Answer:
        """Run one request. Blocks until it is done. Raises Refused."""
        started = time.perf_counter()
        with self._connection(request) as connection, ExitStack() as leave:
            run = _Run(connection)
            for table in request.tables:
                run.query(f"CREATE TEMPORARY TABLE {_name(table.name)} ({table.structure})")
                leave.callback(run.query, f"DROP TEMPORARY TABLE {_name(table.name)}")
                path = leave.enter_context(_data_file(table.data))
                run.query(f"INSERT INTO {_name(table.name)} FROM INFILE '{path}' FORMAT {table.format}")
            if request.data is None:
                return run.answer(request.statement.sql, request.format, request.parameters, started)
            path = leave.enter_context(_data_file(request.data))
            return run.answer(
                request.statement.from_file(path, request.compression), "Null", request.parameters, started
            )

    def stop_read(self, mark: str) -> None:
        """End the query of this mark, if it is one that only reads."""
        self._kill(f"query_kind = 'Select' AND Settings['log_comment'] = {_text(mark)}")

    def stop_all(self) -> None:
        """End all that runs; its clients get ClickHouse's error."""
        self._kill("1")

    def close(self) -> None:
        """Close the directory. Nothing may be running."""
        for session in self._sessions.values():
            session.connection.close()
        self._sessions.clear()
        self._root.close()

    def _kill(self, condition: str) -> None:
        with closing(chdb.connect(self._address)) as connection:
            _Run(connection).query(f"KILL QUERY WHERE {condition}")

    @contextmanager
    def _connection(self, request: Request) -> Iterator[chdb.state.sqlitelike.Connection]:
        if not request.session:
            with closing(chdb.connect(f"{self._address}&log_comment={request.mark}")) as connection:
                _Run(connection).enter(request)
                yield connection
            return
        session = self._claim(request)
        run = _Run(session.connection)
        try:
            leave = run.state(request)
            run.query(f"SET log_comment = {_text(request.mark)}")
            try:
                run.enter(request)
                yield session.connection
            finally:
                for sql in leave:
                    run.query(sql)
        finally:
            session.expires = time.monotonic() + request.session_timeout_s
            session.busy = False

    def _claim(self, request: Request) -> _Session:
        with self._lock:
            now = time.monotonic()
            for name in [name for name, known in self._sessions.items() if not known.busy and known.expires < now]:
                self._sessions.pop(name).connection.close()
            session = self._sessions.get(request.session)
            if session is None:
                if request.session_must_exist:
                    raise Refused.because(372, "SESSION_NOT_FOUND", f"Session {request.session} not found")
                session = self._sessions[request.session] = _Session(chdb.connect(self._address))
            if session.busy:
                raise Refused.because(
                    373, "SESSION_IS_LOCKED", f"Session {request.session} is locked by a concurrent client"
                )
            session.busy = True
            return session


class _Run:
    """Queries on one connection."""

    def __init__(self, connection: chdb.state.sqlitelike.Connection) -> None:
        self._connection = connection

    def enter(self, request: Request) -> None:
        """Give the connection the request's database and settings."""
        if request.database:
            self.query(f"USE {_name(request.database)}")
        if request.settings:
            self.query("SET " + ", ".join(f"{name} = {_text(value)}" for name, value in request.settings.items()))

    def state(self, request: Request) -> list[str]:
        """What puts back a session's database and settings after a request that has its own."""
        leave = []
        if request.database:
            leave.append(f"USE {_name(self.query('SELECT currentDatabase()').decode().rstrip())}")
        if request.settings:
            names = ", ".join(_text(name) for name in request.settings)
            rows = self.query(f"SELECT name, value FROM system.settings WHERE changed AND name IN ({names})").decode()
            changed = dict(row.split("\t", 1) for row in rows.splitlines())
            # The values come escaped, as a literal has them.
            before = (
                f"{name} = '{changed[name]}'" if name in changed else f"{name} = DEFAULT" for name in request.settings
            )
            leave.append(f"SET {', '.join(before)}")
        return leave

    def query(self, sql: str) -> bytes:
        return self.answer(sql, "TabSeparated", {}, 0.0).body

    def answer(self, sql: str, result_format: str, parameters: Mapping[str, str], started: float) -> Answer:
        try:
            result = self._connection.query(sql, result_format, params=dict(parameters))
        except (chdb.ChdbError, RuntimeError) as error:
            code = _CODE.search(str(error))
            raise Refused(int(code.group(1)) if code else 1002, str(error)) from error
        return Answer(
            result.bytes(),
            result.storage_rows_read() or result.rows_read(),
            result.storage_bytes_read() or result.bytes_read(),
            result.rows_written(),
            result.bytes_written(),
            result.rows_read(),
            time.perf_counter() - started,
        )


@contextmanager
def _data_file(data: bytes) -> Iterator[str]:
    """A path that reads as `data`. In memory where the system can, so that nothing is left behind even after kill -9."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("insert"), "wb", buffering=0) as file:
            _write(file.fileno(), data)
            yield f"/proc/{os.getpid()}/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile(prefix="tokenworth-insert-") as named:
        named.write(data)
        named.flush()
        yield named.name


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _name(identifier: str) -> str:
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(value: str) -> str:
    return "'" + "".join(_UNPRINTABLE.get(char, char) for char in value) + "'"
