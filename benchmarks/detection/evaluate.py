"""The default alert rules on made histories with labels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from benchmarks.detection.happenings import FIRST_CELL
from benchmarks.detection.scenarios import WHOLE_DAYS, make_scenario
from benchmarks.detection.scoring import figures, pooled, score, told_alerts
from benchmarks.detection.teams import DAY


def evaluate(seed: int, seeds: int, teams: int, days: int, json_file: Path | None, *, each: bool) -> None:
    """Score the default rules on `seeds` histories from a seed on, and print the figures; `each`: what was missed and every false alert too."""
    scores = []
    for number in range(seed, seed + seeds):
        scenario = make_scenario(seed=number, teams=teams, days=days, progress=_progress(number))
        scores.append(score(scenario, told_alerts(scenario, _progress(number))))
    _progress(seed)("")
    result = pooled(scores)
    out = {"seed": seed, "seeds": seeds, "teams": teams, "days": days, **figures(result)}
    typer.echo(table(out))
    if each:
        for told in (*(told for told in result.episodes if not told.alert), *result.false):
            typer.echo(
                f"{'false' if told.alert else 'missed'}: {told.happening} {told.alert.summary if told.alert else ''}"
            )
    if json_file:
        json_file.write_text(json.dumps(out, indent=2) + "\n")


def _progress(seed: int) -> Any:
    def show(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{f'seed {seed}: {text}' if text else ''}")
            sys.stderr.flush()
        elif "of" in text and text.split()[-3] == text.rsplit(maxsplit=1)[-1]:
            sys.stderr.write(f"seed {seed}: {text}\n")

    return show


def table(out: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [
        f"{out['seeds']} of seed {out['seed']} on, {out['teams']} teams, {out['days']} days: {out['team_days']:,} team-days judged",
        "",
        f"{'':22}{'strong':>9}{'moderate':>10}{'weak':>9}{'delay h':>10}{'but weak':>10}",
        f"{'recall':22}{_figures(out['recall'])}",
    ]
    lines += [
        f"  {kind:20}{_figures(of['recall'])}{_figure(of['median_delay_h'], 10)}{_figure(of['median_delay_h_but_weak'], 10)}"
        for kind, of in out["patterns"].items()
    ]
    lines += [
        f"  {kind + ' (digest)':20}{_figure(of['recall'], 9)}{_figure(of['median_delay_h'], 29)}"
        for kind, of in out["digests"].items()
    ]
    lines += ["", f"{'rule':22}{'true':>9}{'false':>10}{'precision':>11}{'delay h':>10}"]
    lines += [
        f"  {rule:20}{of['true']:9}{of['false']:10}{_figure(of['precision'], 11)}{_figure(out['median_delay_h'][rule], 10)}"
        for rule, of in out["rules"].items()
    ]
    lines += [
        "",
        f"false pages per 1,000 team-days {_figure(out['false_pages_per_1000_team_days'], 0)}",
        f"false tickets per 60 team-days {_figure(out['false_tickets_per_60_team_days'], 0)}",
        f"false digests per 60 team-days {_figure(out['false_digests_per_60_team_days'], 0)}",
        "false alerts by what happened before: "
        + (", ".join(f"{k} {n}" for k, n in out["false_after"].items()) or "none"),
    ]
    return "\n".join([*lines, *_cannot(out)])


def _cannot(out: dict[str, Any]) -> list[str]:
    """What a history that is too short, or of too few teams, does not tell."""
    nothing = [kind for kind, of in out["patterns"].items() if not of["episodes"]]
    found = [f"without an episode, so not judged: {', '.join(nothing)}"] if nothing else []
    if not out["team_days"]:
        found.append(f"no team-day judged: the first {FIRST_CELL // DAY} days are the history that rules need")
    if nothing and out["days"] < WHOLE_DAYS:
        found.append(f"every pattern fits into {WHOLE_DAYS} days or more")
    return found


def _figures(recall: dict[str, float | None]) -> str:
    return _figure(recall["strong"], 9) + _figure(recall["moderate"], 10) + _figure(recall["weak"], 9)


def _figure(number: float | None, width: int) -> str:
    return f"{'.' if number is None else f'{number:.2f}':>{width}}"
