"""ClickHouse's HTTP interface over the embedded engine: `python -m streams.local.clickhouse --port 8123 --path DIR`.

Stock clients (clickhouse-connect, Grafana, curl) work unchanged: statements in the URL or the body, settings and `param_*` as URL parameters,
sessions, external tables, compressed bodies both ways, errors with ClickHouse's codes. Loopback only, user `default` without a password.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from streams.errors import TokenworthError
from streams.local.call import Call, read_call
from streams.local.directory import locked_directory
from streams.local.engine import Answer, Engine, Refused

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
            call = await read_call(http)
            if call.read_only and "query" not in call.parameters:
                return await self._alive(http)
            status, more, payload = await self._finish(call)
        except Refused as error:
            status, more, payload = self._refusal(error)
        except Exception as error:  # noqa: BLE001  (the client gets what happened, in the protocol's form)
            status, more, payload = self._refusal(Refused.because(1002, "UNKNOWN_EXCEPTION", repr(error)))
        return web.Response(status=status, body=payload, headers=headers | more)

    async def _finish(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._run, call)
        except asyncio.CancelledError:  # the client has gone
            if call.may_be_cancelled:
                await loop.run_in_executor(None, self._engine.stop_read, call.mark)
            raise

    def _run(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        request = call.request()
        answer = self._engine.execute(request)
        headers = {"X-ClickHouse-Summary": _summary(answer)}
        if request.statement.answers:
            headers["X-ClickHouse-Format"] = request.statement.format or request.format
            headers["Content-Type"] = "text/plain; charset=UTF-8"
        encoding, payload = call.pack(answer.body)
        if encoding:
            headers["Content-Encoding"] = encoding
        return 200, headers, payload

    def _refusal(self, error: Refused) -> tuple[int, dict[str, str], bytes]:
        text = f"{error} (version {self._engine.version} (embedded))\n"
        return _STATUS.get(error.code, 500), {"X-ClickHouse-Exception-Code": str(error.code)}, text.encode()


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
