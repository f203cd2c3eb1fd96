"""Structured logs: readable on a terminal, one JSON object a line everywhere else.

Call `configure` once, at the start of a process. Code of the project logs with `structlog.stdlib.get_logger(__name__)` and keyword
values; the libraries' standard loggers end in the same place. Three rules hold for every line:

1. Libraries speak from WARNING on, and each of their messages at most once in REPEAT_AFTER_S: a broker outage makes aiokafka log more
   than a thousand lines, and the first says it all. The next line that passes carries `suppressed`, the number left out.
2. A secret never reaches a line: values under the names in SECRET_NAMES and passwords in URLs become ***.
3. Tracebacks show no local variables: a batch of events or a connection string may be among them.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REPEAT_AFTER_S: Final = 10.0
SECRET_NAMES: Final = frozenset({"password", "secret", "actor_key", "api_key", "authorization"})
OURS: Final = "streams"

# A library may put changing values into the message itself; beyond this many messages the old ones are forgotten.
_MESSAGES_KEPT: Final = 1000
_URL_PASSWORD: Final = re.compile(r"(?P<before>://[^/\s:@]*:|[?&]password=)[^\s@&\"']+")


def configure(level: str = "INFO", stream: TextIO | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
    """Send all logs from `level` on to `stream` (default stderr). A later call replaces an earlier one; `now` is in seconds."""
    stream = stream or sys.stderr
    render: list[Processor]
    if stream.isatty():
        render = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        render = [structlog.processors.ExceptionRenderer(frames), structlog.processors.JSONRenderer(default=str)]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=["suppressed"]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secret_names,
    ]
    handler = _Handler(stream)
    handler.addFilter(RepeatFilter(now))
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
        )
    )
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if not isinstance(other, _Handler)] + [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class RepeatFilter(logging.Filter):
    """Rule 1. The project's own lines always pass."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True lets the record pass."""
        if record.name.partition(".")[0] == OURS:
            return True
        if record.levelno < logging.WARNING:
            return False
        message = (record.name, str(record.msg))  # before its arguments are filled in
        now = self._now()
        with self._lock:
            passed_at, left_out = self._seen.get(message, (-REPEAT_AFTER_S, 0))
            if now - passed_at < REPEAT_AFTER_S:
                self._seen[message] = (passed_at, left_out + 1)
                return False
            if len(self._seen) >= _MESSAGES_KEPT:
                self._seen = {key: value for key, value in self._seen.items() if now - value[0] < REPEAT_AFTER_S}
            self._seen[message] = (now, 0)
        if left_out:
            record.suppressed = left_out
        return True


class _Handler(logging.StreamHandler[TextIO]):
    """Marks the handler that `configure` made, so that a second call finds it."""


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Rule 2 for whatever a library, an exception or a value wrote into the line."""

    def format(self, record: logging.LogRecord) -> str:
        return _URL_PASSWORD.sub(r"\g<before>***", super().format(record))


def _hide_secret_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: "***" if name in SECRET_NAMES else value for name, value in event.items()}
