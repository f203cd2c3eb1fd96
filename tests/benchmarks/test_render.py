"""Page and plot from stored results, and the keys that others read."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from benchmarks.catalog import LIMITS, PEER_SYSTEMS
from benchmarks.figures import REST, Figures
from benchmarks.render import BEGIN, END, bars, render, section
from benchmarks.run import WORKER, Options, results_of
from benchmarks.traffic import Published

FIGURES = Figures(1000.0, 2000.0, 500.0, 64.0, 3.0)


def stored() -> dict[str, Any]:
    systems = {system.name: system for system in (*LIMITS, *PEER_SYSTEMS)}
    published = Published({900: "usage-events"}, {900: {"records": 900}}, 1000, {})
    options = Options(events=880, runs=2)
    return {
        "made_at": "2026-11-23T00:00:00+00:00",
        "machine": {"cpu": "a & b", "cores": 2, "memory_mb": 24_000, "load_average": 0.5, "kernel": "Linux 6", "python": "3.11", "java": "17", "broker": "tansu"},
        "traffic": {"usage_events": 900, "teams": 2, "days": 2, "lines": 5, "panes": 6, "partitions": 4},
        **results_of({name: [FIGURES, FIGURES] for name in (WORKER, *systems)}, systems, published, options),
        "absent": {"gone": "no Java"},
    }  # fmt: skip


def test_the_keys_that_others_read() -> None:
    result = stored()
    assert result["worker"]["events_per_cpu_s"] == 1000.0
    assert result["worker"]["events_per_s"] == 500.0
    assert result["worker"]["rss_mb"] == 64.0
    assert result["worker"]["runs"]["events_per_cpu_s"] == [1000.0, 1000.0]
    assert result["limit"]["events_per_cpu_s"] == 1000.0
    assert set(result["limits"]) == {"fetch", "decode", "insert"}
    for name in ("tokenworth", "flink", "kafka_streams", "pathway", "bytewax", "quix", "faust"):
        peer = result["peers"][name]
        assert peer["warm_events_per_cpu_s"] == 2000.0
        assert peer["version"]
        assert peer["configuration"]


def test_every_system_has_a_row_and_what_is_absent_says_why() -> None:
    text = section(stored())
    assert "| worker, end to end | 1,000 (1,000-1,000) | 2,000" in text
    assert "| flink 2.0.0 |" in text
    assert "| gone | absent: no Java |" in text


def test_the_time_of_a_worker_is_told_by_step() -> None:
    """Steps that take next to nothing are one row."""
    result = stored()
    result["worker"]["steps"] = {"decode": 1.5, "look": 0.001, REST: 0.5}
    assert "| `decode` | 1.50 |" in section(result)
    assert "`look`" not in section(result)
    assert "| all | 2.00 |" in section(result)


def test_the_plot_is_well_formed_and_has_a_bar_a_system() -> None:
    drawn = ET.fromstring(bars(stored()))
    assert len(drawn.findall("{*}line")) == 1 + len(LIMITS) + len(PEER_SYSTEMS)


def test_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    render([stored()], tmp_path)
    render([stored()], tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "stale" not in text
    assert text.count("| flink") == 1
    assert (tmp_path / "performance" / "peers.svg").exists()


def test_a_slow_system_gets_the_first_events_unless_there_are_no_more() -> None:
    faust = next(system for system in PEER_SYSTEMS if system.name == "faust")
    assert Options(events=1_000_000, runs=1).share(faust) == faust.most
    assert Options(events=1_000_000, runs=1, quick=True).share(faust) == faust.most_quick
    assert Options(events=faust.most, runs=1).share(faust) == 0
