"""One HTTP call of ClickHouse's protocol: who calls, what is asked, with which settings, parameters, tables and data."""

from __future__ import annotations

import gzip
import uuid
import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import lz4.frame  # type: ignore[import-untyped]
import zstandard
from aiohttp import BodyPartReader, web

from streams.local.engine import ExternalTable, Refused, Request
from streams.local.statement import Statement, parse

# URL parameters of the protocol itself; every other one is a setting.
_PROTOCOL = frozenset(
    [
        "query",
        "database",
        "default_format",
        "query_id",
        "user",
        "password",
        "role",
        "quota_key",
        "session_id",
        "session_timeout",
        "session_check",
        "compress",
        "decompress",
        "stacktrace",
        "client_protocol_version",
        "buffer_size",
        "wait_end_of_query",
        "enable_http_compression",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    ]
)
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read(),
}
_PACK: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda body: zstandard.ZstdCompressor(1).compress(body),
    "gzip": lambda body: gzip.compress(body, 1),
    "deflate": lambda body: zlib.compress(body, 1),
}
_PACK_FROM_BYTES = 1 << 14  # smaller answers travel as they are


@dataclass(frozen=True)
class Call:
    """What arrived. Reading it out blocks (it unpacks and parses), so that happens in `request`, outside the event loop."""

    parameters: Mapping[str, str]  # of the URL, of form fields, and of headers that stand for one
    files: Mapping[str, bytes]  # external tables
    body: bytes
    encoding: str  # of the body
    accepted: str  # encodings that the answer may have; '' when it must come as it is
    read_only: bool
    mark: str  # names the call in the engine

    @property
    def may_be_cancelled(self) -> bool:
        """Whether a read ends with its client."""
        return self.parameters.get("cancel_http_readonly_queries_on_client_close") == "1"

    def request(self) -> Request:
        """What the engine has to do. Raises Refused."""
        parameters = self.parameters
        if "1" in (parameters.get("decompress"), parameters.get("compress")):
            raise Refused.because(
                48, "NOT_IMPLEMENTED", "compress and decompress are not supported: use Content-Encoding"
            )
        if self.encoding and self.encoding not in _UNPACK:
            raise Refused.because(89, "UNKNOWN_COMPRESSION_METHOD", f"Unknown compression method: {self.encoding}")
        statement, data, compression = _statement_and_data(
            parameters.get("query", "").encode(), self.body, self.encoding
        )
        if statement.compound:
            raise Refused.because(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        if self.read_only and not (statement.reads or statement.kind in ("USE", "SET", "KILL")):
            raise Refused.because(164, "READONLY", "Cannot execute query in readonly mode: send it with POST")
        of_files = {f"{name}_{what}" for name in self.files for what in ("structure", "types", "format")}
        others = {name: value for name, value in parameters.items() if name not in _PROTOCOL | of_files}
        return Request(
            statement=statement,
            mark=self.mark,
            database=parameters.get("database", ""),
            format=parameters.get("default_format", "TabSeparated"),
            settings={name: value for name, value in others.items() if not name.startswith("param_")},
            parameters={
                name.removeprefix("param_"): value for name, value in others.items() if name.startswith("param_")
            },
            data=data,
            compression=compression,
            tables=tuple(_external_table(name, content, parameters) for name, content in self.files.items()),
            session=parameters.get("session_id", ""),
            session_timeout_s=float(parameters.get("session_timeout", 60)),
            session_must_exist=parameters.get("session_check") == "1",
        )

    def pack(self, body: bytes) -> tuple[str, bytes]:
        """The Content-Encoding of an answer, '' for none, and the answer in it."""
        encoding = next((name for name in _PACK if name in self.accepted), "") if len(body) >= _PACK_FROM_BYTES else ""
        return encoding, _PACK[encoding](body) if encoding else body


async def read_call(http: web.Request) -> Call:
    """Take a request off the wire. Raises Refused for anybody but `default` without a password."""
    _check_user(http)
    headers = {
        "database": http.headers.get("X-ClickHouse-Database"),
        "default_format": http.headers.get("X-ClickHouse-Format"),
    }
    parameters = {name: value for name, value in headers.items() if value} | dict(http.query)
    files: dict[str, bytes] = {}
    body = b""
    if http.content_type == "multipart/form-data":
        async for part in await http.multipart():
            assert isinstance(part, BodyPartReader), "a form within a form"
            content = bytes(await part.read())
            if part.filename is None:
                parameters[part.name or ""] = content.decode()
            else:
                files[part.name or ""] = content
    else:
        body = await http.read()
    encoding = http.headers.get("Content-Encoding", "").replace("identity", "")
    accepted = http.headers.get("Accept-Encoding", "") if parameters.get("enable_http_compression") == "1" else ""
    return Call(parameters, files, body, encoding, accepted, http.method in ("GET", "HEAD"), uuid.uuid4().hex)


def _check_user(http: web.Request) -> None:
    user, password = http.query.get("user", ""), http.query.get("password", "")
    scheme, _, credentials = http.headers.get("Authorization", "").partition(" ")
    if "X-ClickHouse-User" in http.headers:
        user, password = http.headers["X-ClickHouse-User"], http.headers.get("X-ClickHouse-Key", "")
    elif scheme == "Basic":
        user, _, password = b64decode(credentials).decode(errors="replace").partition(":")
    if (user or "default", password) != ("default", ""):
        reason = "password is incorrect, or there is no user with such name"
        raise Refused.because(516, "AUTHENTICATION_FAILED", f"{user}: Authentication failed: {reason}")


def _statement_and_data(query: bytes, body: bytes, encoding: str) -> tuple[Statement, bytes | None, str]:
    """The statement, the data of an INSERT, and how these are compressed."""
    statement = parse(query) if query else None
    if statement is not None and not body:
        return _with_inline_data(statement)
    if statement is not None and statement.data is not None and not statement.data.strip():
        return statement, body, encoding  # the usual large INSERT: the engine unpacks by itself
    try:
        body = _UNPACK[encoding](body) if encoding else body
    except (OSError, EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        raise Refused.because(117, "INCORRECT_DATA", f"The body is not {encoding}: {error}") from error
    return _with_inline_data(parse(query + b"\n" + body if query else body))


def _with_inline_data(statement: Statement) -> tuple[Statement, bytes | None, str]:
    if statement.data is not None and statement.format == "Values":
        # Rows written as SQL may hold parameters and expressions: they stay with the statement.
        return replace(statement, sql=f"{statement.sql} {statement.data.decode()}"), None, ""
    return statement, statement.data, ""


def _external_table(name: str, content: bytes, parameters: Mapping[str, str]) -> ExternalTable:
    types = parameters.get(f"{name}_types", "")
    structure = parameters.get(f"{name}_structure") or ", ".join(
        f"_{number} {kind}" for number, kind in enumerate(types.split(","), 1)
    )
    return ExternalTable(name, structure, parameters.get(f"{name}_format", "TabSeparated"), content)
