"""ClickHouse's HTTP interface over the embedded engine: `python -m streams.local.clickhouse --port 8123 --path DIR`.

Stock clients (clickhouse-connect, Grafana, curl) work unchanged: statements in the URL or the body, settings and `param_*` as URL parameters,
sessions, external tables, compressed bodies both ways, errors with ClickHouse's codes. Loopback only, user `default` without a password.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import sys
import uuid
import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import zstandard
from aiohttp import BodyPartReader, web

from streams.errors import TokenworthError
from streams.local.directory import locked_directory
from streams.local.engine import Answer, Engine, ExternalTable, Refused, Request
from streams.local.statement import Statement, parse

# URL parameters of the protocol itself; every other one is a setting.
_PROTOCOL = frozenset(
    {
        "query",
        "database",
        "default_format",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "user",
        "password",
        "compress",
        "role",
    }
    | {
        "decompress",
        "quota_key",
        "client_protocol_version",
        "buffer_size",
        "wait_end_of_query",
        "stacktrace",
        "enable_http_compression",
    }
    | {
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
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
_THREADS = 16  # requests that run at once; further ones wait
_STOP_GRACE_S = 5.0  # how long a stop waits for running requests before it ends them

# HTTP status by ClickHouse's error code, as the server answers; any other is 500.
_STATUS = {
    **dict.fromkeys(
        (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
        400,
    ),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    **dict.fromkeys((76, 209, 439), 503),
    48: 501,
    159: 408,
    194: 401,
    229: 413,
    381: 411,
    779: 415,
}


@dataclass(frozen=True)
class _Call:
    """What the engine needs of an HTTP request."""

    parameters: Mapping[str, str]  # of the URL and of form fields
    files: Mapping[str, bytes]  # external tables
    body: bytes
    encoding: str  # of the body
    accepted: str  # encodings that the answer may have
    mark: str  # names the call in the engine
    read_only: bool


class Server:
    """One engine behind HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="query")

    def application(self) -> web.Application:
        """The routes. Its clean-up closes the engine, so that the directory opens again."""
        app = web.Application(client_max_size=1 << 40)
        app.router.add_get("/ping", self._alive)
        app.router.add_get("/replicas_status", self._alive)
        app.router.add_route("*", "/", self._handle)
        app.on_shutdown.append(self._stop)
        return app

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _stop(self, _: web.Application) -> None:
        loop = asyncio.get_running_loop()
        finished = loop.run_in_executor(None, self._threads.shutdown)
        done, _pending = await asyncio.wait([finished], timeout=_STOP_GRACE_S)
        if not done:
            await loop.run_in_executor(None, self._engine.stop_all)
            await finished
        await loop.run_in_executor(None, self._engine.close)

    async def _handle(self, http: web.Request) -> web.Response:
        query_id = http.query.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "tokenworth",
            "X-ClickHouse-Timezone": "UTC",
        }
        try:
            _check_user(http)
            call = await _read(http)
            if call.read_only and "query" not in call.parameters:
                return await self._alive(http)
            status, more, payload = await self._finish(call)
        except Refused as error:
            status, more, payload = self._refusal(error)
        except Exception as error:  # noqa: BLE001  (the client gets what happened, in the protocol's form)
            status, more, payload = self._refusal(
                Refused(1002, f"Code: 1002. DB::Exception: {error!r}. (UNKNOWN_EXCEPTION)")
            )
        return web.Response(status=status, body=payload, headers=headers | more)

    async def _finish(self, call: _Call) -> tuple[int, dict[str, str], bytes]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._run, call)
        except asyncio.CancelledError:  # the client has gone
            if call.parameters.get("cancel_http_readonly_queries_on_client_close") == "1":
                await loop.run_in_executor(None, self._engine.stop_read, call.mark)
            raise

    def _run(self, call: _Call) -> tuple[int, dict[str, str], bytes]:
        request = _request(call)
        statement = request.statement
        if statement.compound:
            raise Refused(
                62, "Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)"
            )
        if call.read_only and not (statement.reads or statement.kind in ("USE", "SET", "KILL")):
            raise Refused(
                164, "Code: 164. DB::Exception: Cannot execute query in readonly mode: send it with POST. (READONLY)"
            )
        answer = self._engine.execute(request)
        headers = {"X-ClickHouse-Summary": _summary(answer)}
        if statement.answers:
            headers["X-ClickHouse-Format"] = statement.format or request.format
            headers["Content-Type"] = "text/plain; charset=UTF-8"
        payload = answer.body
        packing = (
            next((name for name in _PACK if name in call.accepted), "") if len(payload) >= _PACK_FROM_BYTES else ""
        )
        if packing:
            headers["Content-Encoding"] = packing
            payload = _PACK[packing](payload)
        return 200, headers, payload

    def _refusal(self, error: Refused) -> tuple[int, dict[str, str], bytes]:
        text = f"{error} (version {self._engine.version} (embedded))\n"
        return _STATUS.get(error.code, 500), {"X-ClickHouse-Exception-Code": str(error.code)}, text.encode()


def _check_user(http: web.Request) -> None:
    user, password = http.query.get("user", ""), http.query.get("password", "")
    scheme, _, credentials = http.headers.get("Authorization", "").partition(" ")
    if "X-ClickHouse-User" in http.headers:
        user, password = http.headers["X-ClickHouse-User"], http.headers.get("X-ClickHouse-Key", "")
    elif scheme == "Basic":
        user, _, password = b64decode(credentials).decode(errors="replace").partition(":")
    if (user or "default", password) != ("default", ""):
        reason = "password is incorrect, or there is no user with such name"
        raise Refused(
            516, f"Code: 516. DB::Exception: {user}: Authentication failed: {reason}. (AUTHENTICATION_FAILED)"
        )


async def _read(http: web.Request) -> _Call:
    parameters = dict(http.query)
    files: dict[str, bytes] = {}
    body = b""
    if http.content_type == "multipart/form-data":
        async for part in await http.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            content = bytes(await part.read())
            if part.filename is None:
                parameters[part.name or ""] = content.decode()
            else:
                files[part.name or ""] = content
    else:
        body = await http.read()
    encoding = http.headers.get("Content-Encoding", "").replace("identity", "")
    accepted = http.headers.get("Accept-Encoding", "") if parameters.get("enable_http_compression") == "1" else ""
    return _Call(parameters, files, body, encoding, accepted, uuid.uuid4().hex, http.method in ("GET", "HEAD"))


def _request(call: _Call) -> Request:
    parameters = call.parameters
    if parameters.get("decompress") == "1" or parameters.get("compress") == "1":
        raise Refused(
            48,
            "Code: 48. DB::Exception: compress and decompress are not supported: use Content-Encoding. (NOT_IMPLEMENTED)",
        )
    if call.encoding and call.encoding not in _UNPACK:
        raise Refused(
            89, f"Code: 89. DB::Exception: Unknown compression method: {call.encoding}. (UNKNOWN_COMPRESSION_METHOD)"
        )
    statement, data, compression = _statement_and_data(parameters.get("query", "").encode(), call.body, call.encoding)
    about_files = {f"{name}_{what}" for name in call.files for what in ("structure", "types", "format")}
    return Request(
        statement=statement,
        mark=call.mark,
        database=parameters.get("database", ""),
        format=parameters.get("default_format", "TabSeparated"),
        settings={
            name: value
            for name, value in parameters.items()
            if name not in _PROTOCOL | about_files and not name.startswith("param_")
        },
        parameters={
            name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")
        },
        data=data,
        compression=compression,
        tables=tuple(_external_table(name, content, parameters) for name, content in call.files.items()),
        session=parameters.get("session_id", ""),
        session_timeout_s=float(parameters.get("session_timeout", 60)),
        session_must_exist=parameters.get("session_check") == "1",
    )


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
        raise Refused(
            117, f"Code: 117. DB::Exception: The body is not {encoding}: {error}. (INCORRECT_DATA)"
        ) from error
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


def _summary(answer: Answer) -> str:
    counts = {
        name: getattr(answer, name)
        for name in ("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows")
    }
    return json.dumps(
        {name: str(value) for name, value in counts.items()} | {"elapsed_ns": str(int(answer.elapsed_s * 1e9))}
    )


def main() -> None:
    """Serve until SIGINT or SIGTERM; then finish what runs and close the directory."""
    parser = argparse.ArgumentParser(
        prog="python -m streams.local.clickhouse", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback")
    parser.add_argument("--path", type=Path, required=True, help="data directory")
    parser.add_argument("--memory-mb", type=int, default=2048, help="memory that queries may use together")
    parser.add_argument(
        "--patience-s", type=float, default=0.0, help="how long to wait for another process that closes the directory"
    )
    options = parser.parse_args()
    if os.environ.get("TZ") != "UTC":  # the engine reads it while it is loaded
        os.environ["TZ"] = "UTC"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  (this very program)
    try:
        with locked_directory(options.path, patience_s=options.patience_s):
            engine = Engine(options.path, memory_bytes=options.memory_mb << 20)
            app = Server(engine).application()
            # Bodies reach the engine as they are: it unpacks them itself. Cancellation lets a read end with its client.
            web.run_app(
                app, host="127.0.0.1", port=options.port, print=None, auto_decompress=False, handler_cancellation=True
            )
    except TokenworthError as error:
        sys.exit(f"{error.message}\n{error.remedy}".rstrip())
    except OSError as error:
        sys.exit(f"port {options.port}: {error.strerror}")


if __name__ == "__main__":
    main()
