"""One curve after the other, each in a process of its own, so that one that fails or runs out of memory costs no other and leaves no memory behind."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.growth.catalog import CURVES
from benchmarks.growth.curve import FULL, QUICK, TINY, Curve, Point, growth
from benchmarks.growth.joining import warm
from benchmarks.inside import calibration_s
from benchmarks.machine import machine_facts

SCALES = {scale.name: scale for scale in (FULL, QUICK, TINY)}
_DIGITS = 4


def run(names: Sequence[str], scale: str, store: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure curves; `store` is written after each, what it holds of others stays. `failed` of the result: by name, why.

    A curve that stops keeps the points that it had by then; one that fails before it has two keeps what is in the store.
    """
    results: dict[str, Any] = {"curves": {}}
    failed: dict[str, str] = {}
    for curve in CURVES:
        if curve.name not in names:
            continue
        began = time.monotonic()
        say(f"\n{curve.name}: {curve.x}")
        say(header(curve))
        try:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                points, stopped = pool.submit(measure, curve.name, scale).result()
        except Exception as error:  # noqa: BLE001 - the other curves still count
            failed[curve.name] = f"{type(error).__name__}: {error}"
            say(f"failed: {failed[curve.name]}")
            continue
        if stopped:
            failed[curve.name] = stopped
            say(f"stopped: {stopped}")
        if len(points) < 2:
            continue
        found = {
            "scale": scale,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began),
            "growth": growth(points, curve.fitted, curve.kind),
            "points": points,
        }
        say(told(curve, found))
        results["curves"][curve.name] = found
        if store is not None:
            _merge(store, curve.name, found)
    return {**results, "failed": failed}


def measure(name: str, scale: str, say: Callable[[str], None] = print) -> tuple[list[Point], str]:
    """The points of one curve, each with the calibration of its moment: the lesser of before and after; and what stopped it, if anything did.

    Says each point as it comes.
    """
    curve, points = next(curve for curve in CURVES if curve.name == name), list[Point]()
    warm()
    before = calibration_s()
    try:
        for found in curve.measure(SCALES[scale]):
            after = calibration_s()
            unit, before = min(before, after), after
            point = {**found, "calibration_ms": 1e3 * unit}
            if "us" in point:
                point["ratio"] = point["us"] / unit
            points.append({key: _rounded(value) for key, value in point.items()})
            say(row(curve, points[-1]))
    except Exception as error:  # noqa: BLE001 - the points before it still count
        return points, f"{type(error).__name__}: {error}"
    return points, ""


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _merge(store: Path, name: str, found: dict[str, Any]) -> None:
    """Put one curve into the file, in place of what it held of it."""
    held = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {"curves": {}}
    curves = {**held["curves"], name: found}
    order = [curve.name for curve in CURVES if curve.name in curves]
    result = {"machine": machine_facts(), "curves": {key: curves[key] for key in order}}
    partial = store.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(store)


# --- one line a point ---------------------------------------------------------------------------------------------------------------


def header(curve: Curve) -> str:
    """The titles over the points."""
    return _line("x", [*curve.values.values(), *(["ratio"] if "us" in curve.values else [])], curve)


def row(curve: Curve, point: Point) -> str:
    """One point."""
    cells = [*(point.get(name) for name in curve.values), *([point.get("ratio")] if "us" in curve.values else [])]
    return _line(shown(point["x"]), [shown(cell) for cell in cells], curve)


def _line(first: str, cells: Sequence[str], curve: Curve) -> str:
    return "  ".join([first.rjust(24 if curve.kind == "parts" else 12), *(cell.rjust(12) for cell in cells)])


def shown(value: Any) -> str:
    """A figure with three digits that count; a dot: not measured."""
    if value is None:
        return "."
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def told(curve: Curve, found: dict[str, Any]) -> str:
    """The growth of a curve in a line."""
    parts = [f"{curve.values[name]}: {grown_told(grown)}" for name, grown in found["growth"].items()]
    return "; ".join([*parts, f"took {found['seconds']} s"])


def grown_told(grown: dict[str, Any]) -> str:
    """The growth of one value."""
    if "verdict" not in grown:
        return f"x {grown['factor']:.2f} from first to last"
    return f"x {grown['factor']:.2f} a decade, x {grown['end']:.2f} at the end (a logarithm: {grown['logarithm']:.2f}): {grown['verdict']}"
