"""Runs one worker process until it is told to stop, or until an agent fails."""

from __future__ import annotations

import logging

import faust

from streams import logs
from streams.agents.app import create_app
from streams.config import Settings
from streams.metrics import serve


def run(settings: Settings, *, log_level: str = "INFO") -> None:
    """Run a worker; blocks. Raises the error that made an agent fail, after everything has stopped."""
    logs.configure(log_level)
    app = create_app(settings)
    context = app.context
    worker = faust.Worker(app, loglevel=logging.WARNING, override_logging=False, quiet=True, redirect_stdouts=False)
    pages = None
    if settings.metrics_port:
        pages = serve(
            settings.metrics_port,
            context.metrics,
            live=lambda: str(context.failure or ""),
            ready=lambda: "" if app.ownership.ready else "no partitions taken over yet",
        )
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:
        if stop.code and context.failure is None:
            raise
    finally:
        if pages is not None:
            pages.close()
    if context.failure is not None:
        raise context.failure
