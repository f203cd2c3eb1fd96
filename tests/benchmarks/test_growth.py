"""Growth functions at tiny sizes, the slope of a curve, the file that is added to, and the section of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import pytest

from benchmarks.growth import run as growth_run
from benchmarks.growth.catalog import CURVES
from benchmarks.growth.curve import FULL, QUICK, TINY, Point, Scale, decades, growth, per_decade
from benchmarks.growth.made import BEGIN_US, Maker, fetches
from benchmarks.growth.page import BEGIN, END, multiples, section, write_growth
from benchmarks.growth.run import measure, run
from benchmarks.inside import fetch_of, slices

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "growth.json"
DOCS = Path(__file__).parents[2] / "docs"
IN_PROCESS = ("items", "teams", "partitions", "duplicates", "late", "horizon", "events", "groups")


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_curve_has_points_with_cost_and_calibration(name: str) -> None:
    curve = next(curve for curve in CURVES if curve.name == name)
    points, stopped = measure(name, "tiny", lambda _: None)
    assert not stopped
    assert len(points) >= 2
    assert [point["x"] for point in points] == sorted(point["x"] for point in points)
    for point in points:
        assert point["us"] > 0
        assert point["ratio"] == pytest.approx(1e3 * point["us"] / point["calibration_ms"], rel=0.01)
        assert set(curve.fitted) <= set(point)
    assert set(curve.values) & set(points[0]) >= set(curve.fitted)
    assert set(growth(points, curve.fitted, curve.kind)) == set(curve.fitted)


@pytest.mark.parametrize("name", ["recovery", "queries", "age", "bytes"])
def test_a_curve_on_clickhouse_has_points(name: str) -> None:
    points, stopped = measure(name, "tiny", lambda _: None)
    assert not stopped
    if name == "bytes":
        found = {point["x"]: point for point in points}
        assert {"usage_events", "panes", "value_windows", "topic usage-events", "identities in memory"} <= set(found)
        assert 20 < found["usage_events"]["bytes"] < found["usage_events"]["uncompressed_bytes"]
        assert 0.9 < found["usage_events"]["stored_rows"] < 1
    else:
        fitted = next(curve for curve in CURVES if curve.name == name).fitted
        assert all(point[value] > 0 for point in points for value in fitted)


def test_the_slope_is_told_per_decade_and_judged_against_a_logarithm() -> None:
    xs = [10, 100, 1_000, 10_000]
    assert per_decade(xs, [3 * x for x in xs]) == pytest.approx(10)

    def verdict(*ys: float) -> str:
        points = [{"x": x, "us": y, "calibration_ms": 2.0} for x, y in zip(xs, ys, strict=True)]
        return str(growth(points, ["us"], "decades")["us"]["verdict"])

    assert verdict(5, 5, 5.1, 5) == "flat"
    assert verdict(1, 2, 3, 4) == "at most logarithmic"
    assert verdict(1, 1, 1, 9) == "more than logarithmic"
    assert verdict(1, 10, 100, 1000) == "more than logarithmic"
    assert verdict(8, 4, 2, 1) == "falls"


def test_a_machine_that_is_slower_for_a_while_does_not_bend_a_curve() -> None:
    points = [{"x": 10, "us": 2.0, "calibration_ms": 1.0}, {"x": 100, "us": 6.0, "calibration_ms": 3.0}]
    assert growth(points, ["us", "absent"], "decades")["us"]["factor"] == 1
    assert growth(points, ["us"], "steps") == {"us": {"factor": 1.0}}


def test_scales_shorten_curves() -> None:
    assert decades(3, 7, FULL) == [10**3, 10**4, 10**5, 10**6, 10**7]
    assert decades(3, 7, QUICK)[-1] == 10**6
    assert len(decades(5, 6, TINY)) == 2


def test_made_events_are_as_wanted() -> None:
    maker = Maker(items=50, teams=5)
    frame = maker.stretch(2_000, BEGIN_US, BEGIN_US + 1_000_000)
    assert frame["team"].n_unique() == 5
    assert 40 <= frame["work_item_id"].n_unique() <= 51
    assert frame["event_id"].n_unique() == 2_000
    assert 0 < frame["work_item_id"].null_count() < 1_000
    repeated = maker.with_repeats(frame, 0.25)
    assert len(repeated) == 2_000
    assert repeated["event_id"].n_unique() == 1_500
    first = repeated.with_row_index().unique("event_id", keep="first")["index"]
    assert repeated["event_id"].is_first_distinct()[first.to_list()].all()
    late = maker.with_late(frame, 0.2, 10**6, 10**9)["occurred_at"] - frame["occurred_at"]
    assert 300 < (late < 0).sum() < 500
    assert late.min() >= -(10**9)  # type: ignore[operator]
    parts = fetches(frame, 1_000, 4)
    assert {partition for partition, _ in parts} == {0, 1, 2, 3}
    assert sum(len(values) for _, values in parts) == 2_000


def test_batches_hold_what_they_are_given() -> None:
    assert list(slices([b"a", b"b", b"c"], 2)) == [[b"a", b"b"], [b"c"]]
    assert len(fetch_of([b"a" * 50], [b"key"])) > len(fetch_of([b"a" * 50]))


def _stored(name: str, **more: Any) -> dict[str, Any]:
    points = [{"x": 10, "us": 1.0, "calibration_ms": 1.0}, {"x": 100, "us": 2.0, "calibration_ms": 1.0}]
    return {"scale": "tiny", "made_at": "2026-11-23T00:00:00+00:00", "seconds": 1, "points": points, "growth": growth(points, ["us"], "decades"), **more}  # fmt: skip


def test_one_curve_fails_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "growth.json"
    store.write_text(json.dumps({"curves": {"items": _stored("items"), "teams": _stored("teams", seconds=99)}}))

    class Inline:
        """Runs in this process: `teams` fails."""

        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, _: object, name: str, __: str) -> Inline:
            if name == "teams":
                raise MemoryError("too large")
            return self

        def result(self) -> tuple[list[dict[str, Any]], str]:
            return list(_stored("duplicates")["points"]), "OSError: disk"

    monkeypatch.setattr(growth_run, "ProcessPoolExecutor", Inline)
    said: list[str] = []
    results = run(("teams", "duplicates"), "tiny", store, said.append)
    assert results["failed"] == {"teams": "MemoryError: too large", "duplicates": "OSError: disk"}
    held = json.loads(store.read_text())["curves"]
    assert list(held) == ["items", "teams", "duplicates"]
    assert held["teams"]["seconds"] == 99
    assert any("failed" in line for line in said)


def test_what_stops_a_curve_leaves_the_points_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(_: Scale) -> Iterator[Point]:
        yield {"x": 1, "us": 2.0}
        raise OSError("the disk is full")

    broken = replace(CURVES[0], measure=stops)
    monkeypatch.setattr(growth_run, "CURVES", (broken,))
    points, stopped = measure(broken.name, "tiny", lambda _: None)
    assert [point["x"] for point in points] == [1]
    assert stopped == "OSError: the disk is full"


def test_the_section_stands_between_its_marks_and_the_plot_has_a_panel_a_curve(tmp_path: Path) -> None:
    result = json.loads(RESULTS.read_text(encoding="utf-8"))
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_growth(result, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "stale" not in text
    curves = [curve for curve in CURVES if curve.kind != "parts"]
    assert all(text.count(f"- **{curve.name}**: {curve.reason}") == 1 for curve in curves)
    drawn = ET.fromstring(multiples(result))
    assert len(drawn.findall("{*}g")) == len(curves)


def test_the_page_is_what_is_made_of_the_stored_results() -> None:
    result = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert section(result) in (DOCS / "performance.md").read_text(encoding="utf-8"), "run: python -m benchmarks render"
    assert (DOCS / "performance" / "growth.svg").read_text(encoding="utf-8") == multiples(result)


def test_all_curves_were_measured() -> None:
    assert list(json.loads(RESULTS.read_text(encoding="utf-8"))["curves"]) == [curve.name for curve in CURVES]
