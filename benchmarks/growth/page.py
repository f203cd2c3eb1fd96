"""Stored curves as a section of docs/performance.md and one plot of small multiples."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.growth.catalog import CURVES
from benchmarks.growth.curve import Curve, Point
from benchmarks.growth.run import shown
from benchmarks.render import between

BEGIN: Final = "<!-- growth, written by `python -m benchmarks render` -->"
END: Final = "<!-- end of growth -->"

_ACROSS, _WIDTH, _HEIGHT = 3, 290, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 42, 34
_LEGEND: Final = 4
"""Titles of values beside each other."""
_COLOURS: Final = ("#0b6e4f", "#c8553d", "#3d5a80", "#b08900", "#7b2d8b", "#52606d", "#111111")


def write_growth(result: dict[str, Any], docs: Path) -> list[Path]:
    """Write the section and its plot; returns what was written. The rest of the page stays."""
    page, plot = docs / "performance.md", docs / "performance" / "growth.svg"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(multiples(result), encoding="utf-8")
    text = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    page.write_text(between(text, BEGIN, section(result), END), encoding="utf-8")
    return [page, plot]


def section(result: dict[str, Any]) -> str:
    """What each curve comes to, in Markdown, and why."""
    legend = (
        f"{_facts(result)} `µs`: microseconds of CPU. *a decade*: by how much a value is multiplied when x is multiplied by ten, a line through the "
        "logarithms of all points; *at its end*: the same of the upper half of them; *a logarithm*: what log(1 + x) is multiplied by there. CPU "
        "times are taken as multiples of the calibration loop of their moment. Of shares and workers the factor is from the first point to the last."
    )
    lines = [
        legend,
        "",
        "![cost against what grows](performance/growth.svg)",
        "",
        "| curve | x | value | first | last | a decade | at its end | a logarithm | |",
        "|---|---|---|--:|--:|--:|--:|--:|---|",
    ]
    found = _measured(result)
    for curve, measured in found:
        points = measured["points"]
        first, last = points[0], points[-1]
        for number, name in enumerate(curve.fitted):
            grown = measured["growth"].get(name, {})
            about = f"{curve.name} | {curve.x}, {shown(first['x'])} to {shown(last['x'])}" if not number else " | "
            cells = [shown(first.get(name)), shown(last.get(name)), *_factors(grown), grown.get("verdict", "")]
            lines.append(f"| {about} | {curve.values[name]} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- **{curve.name}**: {curve.reason}" for curve, _ in found)])


def _factors(grown: dict[str, Any]) -> list[str]:
    return [f"{grown[name]:.2f}" if name in grown else "." for name in ("factor", "end", "logarithm")]


def _facts(result: dict[str, Any]) -> str:
    machine, scales = result["machine"], {found["scale"] for found in result["curves"].values()}
    days = sorted(found["made_at"][:10] for found in result["curves"].values())
    sizes = "" if scales == {"full"} else f" Sizes: {', '.join(sorted(scales))}: a full run has longer curves."
    return f"{days[-1]}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_mb'] // 1000} GB.{sizes}"


def _measured(result: dict[str, Any]) -> list[tuple[Curve, dict[str, Any]]]:
    """The curves that were measured, in order; `bytes` is no curve."""
    return [(c, result["curves"][c.name]) for c in CURVES if c.name in result["curves"] and c.kind != "parts"]


# --- the plot -----------------------------------------------------------------------------------------------------------------------


def multiples(result: dict[str, Any]) -> str:
    """A panel a curve: x on a logarithmic axis where it is a number of something, y from zero."""
    found = _measured(result)
    rows = -(-len(found) // _ACROSS)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_ACROSS * _WIDTH} {rows * _HEIGHT}" font-family="sans-serif" font-size="9">',
        f'<rect width="{_ACROSS * _WIDTH}" height="{rows * _HEIGHT}" fill="#ffffff"/>',
    ]
    for number, (curve, measured) in enumerate(found):
        at = f"translate({number % _ACROSS * _WIDTH} {number // _ACROSS * _HEIGHT})"
        drawn += [f'<g transform="{at}">', *_panel(curve, measured["points"]), "</g>"]
    return "\n".join([*drawn, "</svg>", ""])


def _panel(curve: Curve, points: list[Point]) -> list[str]:
    names = [name for name in curve.fitted if not name.endswith("_bytes")]
    most = max((point[name] for point in points for name in names if point.get(name)), default=1.0)
    bottom, space = _HEIGHT - _BOTTOM, (_WIDTH - _LEFT) / min(max(len(names), 1), _LEGEND)
    drawn = [
        f'<text x="{_LEFT}" y="14" font-size="12">{escape(curve.name)}</text>',
        *(
            f'<text x="{_LEFT + space * (number % _LEGEND):.0f}" y="{26 + 11 * (number // _LEGEND)}" fill="{_COLOURS[number]}">{escape(curve.values[name])}</text>'
            for number, name in enumerate(names)
        ),
        f'<path d="M{_LEFT} {_TOP} V{bottom} H{_WIDTH - _RIGHT}" stroke="#9aa5b1" fill="none"/>',
        f'<text x="{_LEFT - 5}" y="{_TOP + 4}" text-anchor="end">{shown(most)}</text>',
        f'<text x="{_LEFT - 5}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle" fill="#52606d">{escape(curve.x)}</text>',
    ]
    places = _places(curve, points)
    drawn += [
        f'<text x="{place:.1f}" y="{bottom + 12}" text-anchor="middle">{_short(point["x"])}</text>'
        for place, point in zip(places, points, strict=True)
    ]
    for number, name in enumerate(names):
        line = [
            (place, bottom - point[name] / most * (bottom - _TOP))
            for place, point in zip(places, points, strict=True)
            if point.get(name) is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{_COLOURS[number]}" stroke-width="1.5"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{_COLOURS[number]}"/>' for x, y in line]
    return drawn


def _places(curve: Curve, points: list[Point]) -> list[float]:
    """Where the points lie from left to right."""
    values = [math.log10(point["x"]) if curve.kind == "decades" else float(point["x"]) for point in points]
    least, most = min(values), max(values)
    begin, end = _LEFT + 12, _WIDTH - _RIGHT - 12
    return [begin + (value - least) / ((most - least) or 1) * (end - begin) for value in values]


def _short(value: float) -> str:
    """1,000,000 as 1M."""
    for unit, letter in ((10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"
