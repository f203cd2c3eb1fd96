"""`tokenworth backtest`: what alert rules would have told of the stored history."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streams.cli.asking import Question
from streams.cli.output import AsJson, Column, count, print_json, print_table, text
from streams.cli.progress import counting
from streams.cli.settings import known_calendars, load_settings
from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.detect.alert import Alert
    from streams.detect.backtest import Label, Trial

_DAY_US: Final = 86_400_000_000
_DEFAULT_US: Final = 28 * _DAY_US
_SHOWN: Final = 20
"""Alerts that are listed; --json has all."""
Day = datetime | None


def backtest(
    rules: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RULES]", help="A file of alert rules to try beside those in force; default: only those."
        ),
    ] = None,
    *,
    since: Annotated[Day, typer.Option("--from", help="Begin, UTC; default: 28 days before the end.")] = None,
    until: Annotated[
        Day,
        typer.Option(
            "--to", help="End, UTC, the first instant that is out; default: the last final window of an hour."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV of what happened, for precision and recall: team,from,to,what[,tenant]."
        ),
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant", help="One tenant only; default: all of them.")] = "",
    json: AsJson = False,
) -> None:
    """Run alert rules over the stored history: what would have fired, and what a change of the rules adds and removes.

    Windows are taken as they are stored now and as if they had come in time; nothing is sent or stored. Five weeks before the
    begin are judged as well, so that what burned then is known.

    With labels an alert is true if it begins within a label of its team, or within its window's length after it.
    """
    from streams.agents.alert_rules import load_policy  # noqa: PLC0415 - keeps --help instant
    from streams.store.backtest import days_read, run_backtest  # noqa: PLC0415
    from streams.store.reading import ClickHouseStored  # noqa: PLC0415

    settings = load_settings()
    files = [settings.alert_rules, *([str(rules)] if rules else [])]
    policies = [load_policy(file) for file in files]
    told = _labels(labels)
    question = Question(tenant)
    stored = ClickHouseStored(question.client)
    begin_us, end_us, first_us = _stretch(question, stored, since, until)
    with counting("days of windows read", days_read(len(question.tenants), begin_us, end_us, first_us)) as progress:
        trials = run_backtest(
            stored, question.tenants, policies, begin_us, end_us, first_us, progress, known_calendars(settings)
        )
    facts = _facts(trials, files, told, begin_us, end_us) | {"tenants": question.tenants}
    if json:
        print_json(facts)
    else:
        _print(facts, trials, told is not None)


def _stretch(question: Question, stored: Any, since: Day, until: Day) -> tuple[int, int, int]:
    from streams.store.alerts import judged_span  # noqa: PLC0415

    span = question.asked(lambda: judged_span(stored))
    if span is None:
        raise ConfigError("backtest", "there are no final windows yet", remedy="see: tokenworth windows")
    end_us = min(_us(until), span.last) if until else span.last_hour
    begin_us = _us(since) if since else end_us - _DEFAULT_US
    if begin_us >= end_us:
        begins, ends = _moment(begin_us), _moment(end_us)
        raise ConfigError(
            "--from", f"{begins} is not before the end, {ends}", remedy="final windows end there, or --to"
        )
    return max(begin_us, span.first - 1_000_000), end_us, span.first


def _labels(file: Path | None) -> list[Label] | None:
    from streams.detect.backtest import labels_from_csv  # noqa: PLC0415

    if file is None:
        return None
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return labels_from_csv(lines, str(file))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise ConfigError("--labels", f"{file}: {why}", remedy="name a CSV file that can be read") from None


def _facts(
    trials: list[Trial], files: list[str], labels: list[Label] | None, begin_us: int, end_us: int
) -> dict[str, Any]:
    from streams.detect.backtest import only_in, score, weekly  # noqa: PLC0415

    last = trials[-1]
    by_week = [weekly(trial.fired) for trial in trials]
    facts: dict[str, Any] = {
        "from": _iso(begin_us),
        "to": _iso(end_us),
        "teams": len(last.teams),
        "teams_judged": len(last.judged),
        "rules": [
            {"file": file or None, "alerts": [_row(alert, labels) for alert in trial.fired]}
            | ({"score": score(trial.fired, labels, begin_us, end_us).figures()} if labels is not None else {})
            for file, trial in zip(files, trials, strict=True)
        ],
        "weeks": [
            {"week": week, "rule": rule, "kind": kind, "team": team, "alerts": [found[week, rule, kind, team] for found in by_week]}
            for week, rule, kind, team in sorted(set().union(*by_week))
        ],
    }  # fmt: skip
    if labels is not None:
        missed = score(last.fired, labels, begin_us, end_us).missed
        facts["missed"] = [
            {"team": label.team, "from": _iso(label.begin_us), "to": _iso(label.end_us), "what": label.what}
            for label in missed
        ]
    if len(trials) > 1:
        facts["added"] = [_row(alert, labels) for alert in only_in(last.fired, trials[0].fired)]
        facts["removed"] = [_row(alert, labels) for alert in only_in(trials[0].fired, last.fired)]
    return facts


def _row(alert: Alert, labels: list[Label] | None) -> dict[str, Any]:
    row = {
        "tenant": alert.tenant,
        "team": alert.team,
        "rule": alert.rule,
        "kind": alert.kind,
        "began": _iso(alert.started_at),
        "fired": _iso(alert.fired_at),
        "resolved": _iso(alert.resolved_at) if alert.resolved_at else None,
        "what": alert.summary.partition("; so since")[0],
    }
    if labels is not None:
        row["label"] = next((label.what for label in labels if label.told_by(alert)), None)
    return row


def _print(facts: dict[str, Any], trials: list[Trial], with_labels: bool) -> None:
    names = ["in force", *(entry["file"] for entry in facts["rules"][1:])]
    typer.echo(
        f"{facts['from'][:16].replace('T', ' ')} to {facts['to'][:16].replace('T', ' ')} UTC, "
        f"tenants {', '.join(facts['tenants'])}: {_many(facts['teams'], 'team')}, {facts['teams_judged']} of them judged"
    )
    if facts["teams_judged"] < facts["teams"]:
        typer.echo("a team is judged once 14 days of usage lie behind it, before that it is only observed")
    _print_weeks(facts["weeks"], names)
    if with_labels:
        _print_scores(facts, names)
    lists = [("Added", facts["added"]), ("Removed", facts["removed"])] if "added" in facts else []
    for title, alerts in lists or [("Alerts", facts["rules"][0]["alerts"])]:
        if alerts or lists:
            _print_alerts(title, alerts)


def _print_weeks(weeks: list[dict[str, Any]], names: list[str]) -> None:
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in weeks:
        grouped.setdefault((row["week"], row["rule"], row["kind"]), []).append(row)
    rows: list[dict[str, Any]] = [
        {"week": week, "rule": rule, "kind": kind, "teams": ", ".join(row["team"] or "(none)" for row in found)}
        | {f"of{number}": sum(row["alerts"][number] for row in found) for number in range(len(names))}
        for (week, rule, kind), found in grouped.items()
    ]
    if rows:
        total = Counter({key: sum(row[key] for row in rows) for key in rows[0] if key.startswith("of")})
        rows.append({"week": "all", "rule": "", "kind": "", "teams": ""} | total)
    columns: list[Column] = [("week of", "week", text), ("rule", "rule", text), ("kind", "kind", text)]
    columns += [(name, f"of{number}", count) for number, name in enumerate(names)]
    print_table(rows, [*columns, ("teams", "teams", text)], title="Alerts that would have fired", nothing="no alert would have fired")  # fmt: skip


def _print_scores(facts: dict[str, Any], names: list[str]) -> None:
    rows = [entry["score"] | {"rules": name} for entry, name in zip(facts["rules"], names, strict=True)]
    columns: list[Column] = [
        ("rules", "rules", text), ("alerts", "alerts", count), ("true", "true", count), ("precision", "precision", _share),
        ("labels", "labels", count), ("told", "told", count), ("recall", "recall", _share), ("median delay", "median_delay_h", _hours),
    ]  # fmt: skip
    print_table(rows, columns, title="Against the labels")
    if facts["missed"]:
        title = "Not told" if len(names) == 1 else f"Not told under {names[-1]}"
        shown = [("team", "team", text), ("from", "from", _short), ("to", "to", _short), ("what", "what", text)]
        print_table(facts["missed"][:_SHOWN], shown, title=title)


def _print_alerts(title: str, alerts: list[dict[str, Any]]) -> None:
    columns: list[Column] = [
        ("began", "began", _short), ("fired", "fired", _short), ("resolved", "resolved", _short), ("rule", "rule", text), ("what", "what", text),
    ]  # fmt: skip
    if alerts and "label" in alerts[0]:
        columns.append(("label", "label", lambda label: label or "none: false"))
    print_table(alerts[:_SHOWN], columns, title=title, nothing=f"{title}: none")
    if len(alerts) > _SHOWN:
        typer.echo(f"and {len(alerts) - _SHOWN:,} more: --json has all of them")


def _us(instant: datetime) -> int:
    return int(instant.replace(tzinfo=UTC).timestamp()) * 1_000_000


def _iso(t_us: int) -> str:
    return datetime.fromtimestamp(t_us / 1e6, UTC).isoformat().replace("+00:00", "Z")


def _moment(t_us: int) -> str:
    return _short(_iso(t_us))


def _short(iso: str | None) -> str:
    return iso[:16].replace("T", " ") if iso else ""


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _hours(hours: float | None) -> str:
    return "" if hours is None else f"{hours:.1f} h"
