"""Stored results as a page and a plot: docs/performance.md between its two marks, and docs/performance/peers.svg."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import REST
from benchmarks.screen import lead, ratio, rows

BEGIN: Final = "<!-- written by `python -m benchmarks render` -->"
END: Final = "<!-- end -->"
_NEW_PAGE: Final = (
    f"# Performance\n\nHow it is measured: [benchmarks/README.md](../benchmarks/README.md).\n\n{BEGIN}\n{END}\n"
)

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 860, 220, 90, 16, 12
_COLOURS: Final = {"worker": "#0b6e4f", "limit": "#9aa5b1", "tokenworth": "#0b6e4f"}
_OTHER: Final = "#c8553d"
_LEAST_US: Final = 0.01
"""Steps that take less are shown together."""


def render(results: list[dict[str, Any]], docs: Path) -> list[Path]:
    """Write page and plots of these results, newest last; returns what was written. The rest of an existing page stays."""
    page, folder = docs / "performance.md", docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    parts, written = [], []
    for number, result in enumerate(results, 1):
        plot = folder / ("peers.svg" if number == len(results) else f"peers-{number}.svg")
        plot.write_text(bars(result), encoding="utf-8")
        written.append(plot)
        parts.append(f"{section(result)}\n\n![events per CPU second](performance/{plot.name})\n")
    text = page.read_text(encoding="utf-8") if page.exists() else _NEW_PAGE
    page.write_text(between(text, BEGIN, "\n".join(parts), END), encoding="utf-8")
    return [page, *written]


def between(text: str, begin: str, written: str, end: str) -> str:
    """The text of a page with `written` between two marks, each on a line of its own; they are added at its end if it has none."""
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    head, _, rest = text.partition(begin)
    return "\n".join([head + begin, written, end + rest.partition(end)[2]])


def section(result: dict[str, Any]) -> str:
    """The table of one result, in Markdown, with its machine, input and configurations."""
    machine, traffic = result["machine"], result["traffic"]
    facts = (
        f"{result['made_at'][:10]}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_mb'] // 1000} GB, {machine['kernel']}, load average "
        f"{machine['load_average']} before, "
        f"Python {machine['python']}, Java {machine['java']}, {machine['broker']}. "
        f"{traffic['usage_events']:,} usage events of {traffic['teams']} teams in {traffic['days']} days, {traffic['lines']:,} lines, "
        f"{traffic['panes']:,} panes, {traffic['partitions']} partitions. Medians; least and most in brackets. "
        "`x worker`: events per CPU second as a multiple of the worker's, which does far more. `tokenworth x`: how many times as much tokenworth "
        "does per CPU second on the peers' job, against the better of the peer's two figures."
    )
    lines = [
        facts,
        "",
        "| system | events / CPU s | warm | events / s | peak MB | x worker | tokenworth x | runs x events |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    found = rows(result)
    for title, figures in found:
        cells = [_spread(figures, name) for name in ("events_per_cpu_s", "warm_events_per_cpu_s", "events_per_s")]
        runs = len(figures["runs"]["events_per_s"])
        lines.append(
            f"| {title} | {' | '.join(cells)} | {figures['rss_mb']:,.0f} | {ratio(figures, result.get('worker'))} "
            f"| {lead(title, figures, result)} | {runs} x {figures['events']:,} |"
        )
    lines += [f"| {name} | absent: {reason} | | | | | | |" for name, reason in result["absent"].items()]
    lines += ["", *(f"- {title}: {figures['configuration']}." for title, figures in found)]
    return "\n".join([*lines, *_steps(result.get("worker", {}).get("steps", {}))])


def _steps(steps: dict[str, float]) -> list[str]:
    """A table of where a worker's CPU time goes; nothing where it was not measured."""
    if not steps:
        return []
    rest = steps.get(REST, 0.0)
    shown = {step: us for step, us in sorted(steps.items(), key=lambda of: -of[1]) if us >= _LEAST_US and step != REST}
    other = sum(steps.values()) - sum(shown.values()) - rest
    cells = [*((f"`{step}`", us) for step, us in shown.items()), (REST, rest), ("other steps", other)]
    return [
        "",
        "Where the worker's CPU time goes, end to end, as its metric `tokenworth_step_cpu_seconds_total` tells it:",
        "",
        "| step | us of CPU / event |",
        "|---|--:|",
        *(f"| {name} | {us:.2f} |" for name, us in cells),
        f"| all | {sum(steps.values()):.2f} |",
    ]


def _spread(figures: dict[str, Any], name: str) -> str:
    runs = figures["runs"][name]
    if not figures[name]:  # runs whose progress came in one lump have no second half
        return "."
    return f"{figures[name]:,.0f}" + (f" ({min(runs):,.0f}-{max(runs):,.0f})" if len(runs) > 1 else "")


def bars(result: dict[str, Any]) -> str:
    """A bar per system, its length events per CPU second; the thin line ends at the figure of the second half."""
    found = rows(result)
    most = max((max(f["events_per_cpu_s"], f["warm_events_per_cpu_s"]) for _, f in found), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    height = 46 + len(found) * (_BAR + _GAP)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="13">events per CPU second; thin: the second half of the run</text>',
    ]
    for number, (title, figures) in enumerate(found):
        top, length = 34 + number * (_BAR + _GAP), figures["events_per_cpu_s"] * scale
        warm = figures["warm_events_per_cpu_s"] * scale
        colour = next((colour for start, colour in _COLOURS.items() if title.startswith(start)), _OTHER)
        middle = top + _BAR / 2
        drawn += [
            f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(title)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{max(length, 1):.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<line x1="{_LEFT}" x2="{_LEFT + warm:.1f}" y1="{middle}" y2="{middle}" stroke="#1f2933" stroke-width="2"/>',
            f'<text x="{_LEFT + max(length, warm) + 6:.1f}" y="{middle + 4}">{figures["events_per_cpu_s"]:,.0f}</text>',
        ]
    return "\n".join([*drawn, "</svg>", ""])
