"""What a worker tells Prometheus: one typed list of metrics, the object that counts them, and the HTTP pages on loopback.

METRICS is the only place where a metric is named; the metrics page is generated from it. Labels are bounded sets (topics, fates,
partitions, agents, tables, states): a team, an actor or a work item never becomes a label.

`serve` answers three paths: /metrics (Prometheus text), /live (200 unless the process should be restarted) and /ready (200 once the
worker does its work). A failing probe answers 503 with the reason as its body.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Literal, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from streams.errors import ConfigError

CounterName = Literal[
    "tokenworth_records_total",
    "tokenworth_flushes_total",
    "tokenworth_take_overs_total",
    "tokenworth_insert_retries_total",
    "tokenworth_windows_written_total",
    "tokenworth_alert_transitions_total",
    "tokenworth_deliveries_total",
    "tokenworth_step_cpu_seconds_total",
]
GaugeName = Literal["tokenworth_lag_records", "tokenworth_state_rows", "tokenworth_watermark_age_seconds"]
HistogramName = Literal["tokenworth_flush_seconds"]
MetricName = CounterName | GaugeName | HistogramName

Probe = Callable[[], str]
"""Empty text: all is well. Otherwise the reason why not, in words for an operator. Called by an HTTP thread: must neither block nor raise."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name with unit, its labels in order, and what it tells."""

    name: MetricName
    labels: tuple[str, ...]
    help: str


COUNTERS: Final = (
    Metric(
        "tokenworth_records_total",
        ("topic", "fate"),
        "Input records by fate: applied, duplicate or dead. The three add up to the records consumed.",
    ),
    Metric(
        "tokenworth_flushes_total",
        ("agent", "result"),
        "Flushes by result: committed, or refused because another worker owns the partition.",
    ),
    Metric("tokenworth_take_overs_total", ("agent",), "Partitions whose state this worker loaded from ClickHouse."),
    Metric(
        "tokenworth_insert_retries_total",
        ("table",),
        "Inserts that ClickHouse did not confirm and that were sent again.",
    ),
    Metric(
        "tokenworth_windows_written_total", ("status",), "Windows written by status: provisional, final or revision."
    ),
    Metric(
        "tokenworth_alert_transitions_total",
        ("state",),
        "Alerts that entered a state: pending, firing, resolved, no_data, silenced or acknowledged.",
    ),
    Metric(
        "tokenworth_deliveries_total",
        ("channel", "result"),
        "Attempts to send a notice of an alert by result: delivered, retry (it is tried again) or refused (somebody has to change something).",
    ),
    Metric(
        "tokenworth_step_cpu_seconds_total",
        ("step",),
        "CPU seconds of the threads that compute and insert by step. The rest of process_cpu_seconds_total is fetching, the event loop, libraries' own threads.",
    ),
)
GAUGES: Final = (
    Metric(
        "tokenworth_lag_records",
        ("topic", "partition"),
        "Records between the position and the end of a partition that this worker owns.",
    ),
    Metric(
        "tokenworth_state_rows",
        ("kind", "partition"),
        "What the join keeps in memory of a partition: items, lines, panes, identities. The rest is in ClickHouse.",
    ),
    Metric(
        "tokenworth_watermark_age_seconds",
        ("agent",),
        "Wall time minus watermark: how far behind now the results are complete.",
    ),
)
HISTOGRAMS: Final = (Metric("tokenworth_flush_seconds", ("agent",), "Seconds from the cut of a flush to its commit."),)
METRICS: Final = (*COUNTERS, *GAUGES, *HISTOGRAMS)

# A flush is due once a second: below 1 s a worker keeps up, above 10 s a session time-out is near.
FLUSH_BUCKETS_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The counts of one process. Every method is thread-safe and returns at once; a wrong label raises ValueError."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters = {m.name: Counter(m.name, m.help, m.labels, registry=self.registry) for m in COUNTERS}
        self._gauges = {m.name: Gauge(m.name, m.help, m.labels, registry=self.registry) for m in GAUGES}
        self._histograms = {
            m.name: Histogram(m.name, m.help, m.labels, registry=self.registry, buckets=FLUSH_BUCKETS_S)
            for m in HISTOGRAMS
        }

    def add(self, name: CounterName, amount: float = 1, /, **labels: str) -> None:
        """Count `amount` more."""
        self._counters[name].labels(**labels).inc(amount)

    def set(self, name: GaugeName, value: float, /, **labels: str) -> None:
        """Say what the value is now."""
        self._gauges[name].labels(**labels).set(value)

    def forget(self, name: GaugeName, /, *labels: str) -> None:
        """Drop a value that this worker no longer knows, such as the lag of a partition that it lost. Labels in the order of METRICS."""
        self._gauges[name].remove(*labels)

    def observe(self, name: HistogramName, value: float, /, **labels: str) -> None:
        """Record one observation."""
        self._histograms[name].labels(**labels).observe(value)


class Server:
    """The running pages. Use as a context manager, or call close()."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering; blocks until the thread has ended (well under a second)."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(port: int, metrics: Metrics, *, live: Probe, ready: Probe) -> Server:
    """Answer /metrics, /live and /ready on loopback from a thread of its own; port 0 takes a free one (see Server.port).

    Raises ConfigError naming metrics_port when the port is taken.
    """

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encode(metrics.registry), content_type)
            elif path in {"/live", "/ready"}:
                reason = live() if path == "/live" else ready()
                self._answer(503 if reason else 200, f"{reason or 'ok'}\n".encode())
            else:
                self._answer(404, b"/metrics, /live or /ready\n")

        def _answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: a probe every few seconds is no news."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Pages)
    except OSError as error:
        raise ConfigError(
            "metrics_port",
            f"port {port} on 127.0.0.1: {error.strerror}",
            remedy="choose another TOKENWORTH_METRICS_PORT, or 0 for none",
        ) from error
    server.daemon_threads = True
    return Server(server)
