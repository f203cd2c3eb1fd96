"""The metrics list, its counts and the three pages."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import get_args

import pytest

from streams.errors import ConfigError
from streams.metrics import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    METRICS,
    CounterName,
    GaugeName,
    HistogramName,
    Metrics,
    Server,
    serve,
)


def fetch(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def well() -> str:
    return ""


@pytest.mark.parametrize(
    ("names", "listed"), [(CounterName, COUNTERS), (GaugeName, GAUGES), (HistogramName, HISTOGRAMS)]
)
def test_every_typed_name_is_listed_once(names: object, listed: tuple[object, ...]) -> None:
    assert sorted(get_args(names)) == sorted(metric.name for metric in METRICS if metric in listed)


def test_every_metric_says_its_unit_and_meaning() -> None:
    for metric in METRICS:
        assert metric.name.rpartition("_")[2] in {"total", "seconds", "records", "rows"}, metric.name
        assert metric.help.endswith("."), metric.name


def test_the_page_shows_what_was_counted() -> None:
    metrics = Metrics()
    metrics.add("tokenworth_records_total", 7, topic="usage-events", fate="applied")
    metrics.add("tokenworth_records_total", 2, topic="usage-events", fate="applied")
    metrics.set("tokenworth_lag_records", 12, topic="usage-events", partition="0")
    metrics.set("tokenworth_lag_records", 5, topic="usage-events", partition="1")
    metrics.forget("tokenworth_lag_records", "usage-events", "1")
    metrics.forget("tokenworth_lag_records", "usage-events", "9")
    metrics.observe("tokenworth_flush_seconds", 0.3, agent="join")
    with serve(0, metrics, live=well, ready=well) as server:
        status, page = fetch(server, "/metrics")
    assert status == 200
    assert 'tokenworth_records_total{fate="applied",topic="usage-events"} 9.0' in page
    assert 'tokenworth_lag_records{partition="0",topic="usage-events"} 12.0' in page
    assert 'partition="1"' not in page
    assert 'tokenworth_flush_seconds_bucket{agent="join",le="0.2"} 0.0' in page
    assert 'tokenworth_flush_seconds_bucket{agent="join",le="0.5"} 1.0' in page
    assert "process_cpu_seconds_total" in page
    for metric in METRICS:
        assert f"# HELP {metric.name} " in page


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().add("tokenworth_records_total", 1, topic="usage-events", team="search")


def test_two_workers_in_one_process_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()
    first.add("tokenworth_take_overs_total", agent="join")
    assert second.registry.get_sample_value("tokenworth_take_overs_total", {"agent": "join"}) is None


def test_probes_answer_with_their_reason() -> None:
    reasons = {"live": "", "ready": "waiting for partitions"}
    with serve(0, Metrics(), live=lambda: reasons["live"], ready=lambda: reasons["ready"]) as server:
        assert fetch(server, "/live") == (200, "ok\n")
        assert fetch(server, "/ready") == (503, "waiting for partitions\n")
        reasons["ready"] = ""
        assert fetch(server, "/ready?verbose") == (200, "ok\n")
        reasons["live"] = "no flush for 120 s"
        assert fetch(server, "/live") == (503, "no flush for 120 s\n")
        assert fetch(server, "/")[0] == 404


def test_a_taken_port_names_the_setting() -> None:
    with (
        serve(0, Metrics(), live=well, ready=well) as server,
        pytest.raises(ConfigError, match=f"metrics_port: port {server.port}") as raised,
    ):
        serve(server.port, Metrics(), live=well, ready=well)
    assert "TOKENWORTH_METRICS_PORT" in raised.value.remedy


def test_a_closed_server_frees_its_port() -> None:
    with serve(0, Metrics(), live=well, ready=well) as server:
        port = server.port
    with serve(port, Metrics(), live=well, ready=well) as again:
        assert fetch(again, "/live")[0] == 200
