"""Runs one worker process until it is told to stop, or until an agent fails.

SIGTERM or Ctrl-C: the flush in flight is drained, the group is left, and the process ends within STOP_LIMIT_S with code 0; a second one ends it at
once. A failure ends it in the same way with another code.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
from contextlib import ExitStack
from typing import Any, Final

import faust

from streams import logs
from streams.agents.app import create_app
from streams.agents.context import Context
from streams.agents.prepare import prepare_loops
from streams.config import Settings
from streams.metrics import serve

SIGNALLED: Final = 128
"""Plus the signal's number: the exit code of a process that did not wait for its orderly end."""


class Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker with an end that is bounded, and a pulse."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, loglevel=logging.WARNING, override_logging=False, quiet=True, redirect_stdouts=False)
        self.spinner = None  # its control codes would stand in front of a line of the log
        self._context: Context = app.context

    async def on_execute(self) -> None:
        """Called once the event loop runs."""
        self.add_future(self.app.ownership.watch(self.app))

    def _schedule_shutdown(self, number: signal.Signals) -> None:
        if self._context.health.stopping:
            self._context.leave(SIGNALLED + number)
        self._context.stopping()
        super()._schedule_shutdown(number)

    async def crash(self, reason: BaseException) -> None:
        """A service of Faust has ended by itself, such as the consumer's thread."""
        self._crash(reason)

    def _crash(self, reason: BaseException) -> None:
        error = reason if isinstance(reason, Exception) else RuntimeError(f"{type(reason).__name__}: {reason}")
        self.loop.call_soon_threadsafe(self._context.fail, error)


def _spare_the_collector() -> None:
    """Let Python's collector of cycles pass over what is here for good, and look rarely: it took a seventh of a worker's CPU time, nearly all of it
    for modules and for the histories of items, which hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


def run(settings: Settings, *, log_level: str = "INFO") -> None:
    """Run a worker; blocks. Raises the error that made an agent fail, after everything has stopped."""
    logs.configure(log_level)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the event loop takes over
    prepare_loops()
    app = create_app(settings)
    _spare_the_collector()
    context: Context = app.context
    with ExitStack() as exits:
        if settings.metrics_port:
            health = context.health
            exits.enter_context(serve(settings.metrics_port, context.metrics, live=health.live, ready=health.ready))
        try:
            Worker(app).execute_from_commandline()
        except SystemExit as stop:
            if stop.code and context.failure is None:
                raise
    if context.failure is not None:
        raise context.failure
