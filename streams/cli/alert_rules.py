"""Commands on alert rules: rules check, rules explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.asking import Question, Tenant
from streams.cli.output import AsJson, Column, print_json, print_table, text
from streams.cli.settings import known_calendars, load_settings
from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.detect.numbers import Numbered
    from streams.detect.policy import AlertPolicy

Rule = Annotated[str, typer.Argument(metavar="[RULE]", help="Its name, such as spend_runaway; left out: all of them.")]
File = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="Rules of this file instead of those in force.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `rules`."""
    group.command(epilog="Example:  tokenworth rules check alerts.toml")(check)
    group.command(
        epilog="Examples:  tokenworth rules explain\n\n           tokenworth rules explain spend_runaway --team search"
    )(explain)


def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Alert rules (TOML), as TOKENWORTH_ALERT_RULES names them.")
    ],
    json: AsJson = False,
) -> None:
    """Check a file of alert rules, and say what it changes. Needs no ClickHouse.

    An error names the line. Value rules are another kind of file: `rules apply --dry-run` checks them.
    """
    from streams.agents.alert_rules import load_policy  # noqa: PLC0415 - keeps --help instant
    from streams.detect.explained import differences  # noqa: PLC0415

    policy = load_policy(str(file))
    rows, budgets = differences(policy), len(policy.budgets)
    if json:
        print_json({"file": str(file), "differences": rows, "budgets": budgets})
        return
    typer.echo(
        f"{file}: valid; it changes {len(rows)} number{'' if len(rows) == 1 else 's'} of the shipped rules"
        + (f", sets {budgets} budget{'' if budgets == 1 else 's'}" if budgets else "")
    )
    if rows:
        print_table(rows, [(name, name, text) for name in ("rule", "number", "shipped", "here", "for")])


def explain(
    rule: Rule = "",
    *,
    team: Annotated[
        str | None, typer.Option("--team", help="For this team, with what is usual for it at present.")
    ] = None,
    tenant: Tenant = "",
    rules: File = None,
    json: AsJson = False,
) -> None:
    """Explain the alert rules and probes in force: what each looks at, its numbers, and an example.

    With --team: the numbers for that team, and from ClickHouse its latest figures, what is usual, and from where on it alerts.
    """
    from streams.agents.alert_rules import load_policy  # noqa: PLC0415 - keeps --help instant

    file = str(rules) if rules else load_settings().alert_rules
    policy = load_policy(file)
    names = [one.name for one in policy.numbered]
    if rule and rule not in names:
        raise ConfigError("RULE", f"no alert rule {rule!r}", remedy=f"the rules are {', '.join(names)}")
    now: dict[str, dict[str, Any]] = {}
    if team is not None:
        question = Question(tenant)
        now = _present(question, policy, team)
        tenant = question.tenant
    chosen = policy.numbered
    if team is not None:
        group = tenant, team
        chosen = [*policy.rules_of(group).values(), *(policy.probe_of(one.name, group) for one in policy.probes)]
    told = [_told(one) | {"now": now.get(one.name)} for one in chosen if rule in ("", one.name)]
    if json:
        print_json(told)
    elif rule:
        _explain_one(told[0], team)
    else:
        _explain_all(told, file or "as they ship", team)
    if policy.overrides and team is None and not json:
        typer.echo("some teams or tenants have other numbers: --team TEAM shows those of a team")


def _told(rule: Numbered) -> dict[str, Any]:
    from streams.detect.explained import example, meanings, what  # noqa: PLC0415
    from streams.detect.numbers import numbers_of, show_length  # noqa: PLC0415
    from streams.detect.policy import AlertPolicy  # noqa: PLC0415
    from streams.detect.probes import Probe  # noqa: PLC0415

    means = meanings(rule)
    old = next(one for one in AlertPolicy().numbered if one.name == rule.name)
    return {
        "rule": rule.name,
        "kind": rule.kind,
        "window": rule.size,
        "enabled": rule.enabled,
        "what": what(rule),
        "numbers": [
            {
                "number": number.key,
                "in_force": number.show(getattr(rule, number.field)),
                "shipped": number.show(getattr(old, number.field)),
                "means": means[number.key],
            }
            for number in numbers_of(type(rule))
        ],
        "example": "" if isinstance(rule, Probe) else example(rule),
        "asked_every": show_length(rule.every_us) if isinstance(rule, Probe) else None,
    }


def _present(question: Question, policy: AlertPolicy, team: str) -> dict[str, dict[str, Any]]:
    """Of a team by rule: its latest figure, the usual one and the level that alerts, or why there is none."""
    from streams.detect.engine import AlertEngine  # noqa: PLC0415
    from streams.detect.explained import figure  # noqa: PLC0415
    from streams.detect.history import KEPT_US  # noqa: PLC0415
    from streams.store.alerts import judged_span, load_alerts, load_stretch  # noqa: PLC0415
    from streams.store.reading import ClickHouseStored  # noqa: PLC0415

    stored = ClickHouseStored(question.client)
    span = question.asked(lambda: judged_span(stored))
    if span is None:
        return {}
    last_us = span.last_hour
    engine = AlertEngine(policy, 0, known_calendars(load_settings()))
    engine.load(load_alerts(stored, 0, 1, last_us), last_us)
    windows = load_stretch(stored, question.tenant, last_us - KEPT_US, last_us, teams=[team])
    if windows.is_empty():
        raise ConfigError("--team", f"no final windows of {team!r} in the last weeks", remedy="see: tokenworth windows")
    engine.load_history(windows)
    burning = {alert.rule: alert for alert in engine.open_alerts if alert.group == (question.tenant, team)}
    found = {}
    for rule, now, usual in engine.usual_now((question.tenant, team)):
        latest = rule.figure(now)
        than = burning[rule.name].usual if rule.name in burning else usual
        found[rule.name] = {
            "latest": "none" if latest is None else figure(rule, latest),
            "usual": figure(rule, than.baseline) if than else "",
            "alerts_from": figure(rule, than.threshold) if than else "",
            "state": burning[rule.name].state if rule.name in burning else "" if than else "not judged",
        }
    return found


def _explain_all(told: list[dict[str, Any]], file: str, team: str | None) -> None:
    rows = [
        one | (one["now"] or dict.fromkeys(("latest", "usual", "alerts_from", "state"), ""))
        | {"on": "on" if one["enabled"] else "off", "short": one["what"].partition("\n")[0]}
        for one in told
    ]  # fmt: skip
    columns: list[Column] = [
        ("rule", "rule", text),
        ("", "on", text),
        ("kind", "kind", text),
        ("window", "window", text),
    ]
    if team is None:
        columns += [("looks at", "short", text)]
    else:
        columns += [("latest", "latest", text), ("usual", "usual", text), ("alerts from", "alerts_from", text)]
        columns += [("", "state", text)]
    print_table(rows, columns, title=f"Alert rules, {file}" + (f", for the team {team}" if team is not None else ""))
    if any(row["state"] == "not judged" for row in rows):
        typer.echo(_NOT_JUDGED)
    if team is None:
        typer.echo("more of one, with its numbers: tokenworth rules explain RULE")


def _explain_one(told: dict[str, Any], team: str | None) -> None:
    how = (
        f"a question to the store each {told['asked_every']}"
        if told["asked_every"]
        else f"judged on windows of {told['window']}"
    )
    typer.echo(f"{told['rule']}: a {told['kind']}, {how}\n\n{told['what']}\n")
    for row in told["numbers"]:
        row["was"] = "" if row["in_force"] == row["shipped"] else row["shipped"]
    columns: list[Column] = [("number", "number", text), ("in force", "in_force", text), ("shipped", "was", text)]
    if not any(row["was"] for row in told["numbers"]):
        columns.pop()
    print_table(told["numbers"], [*columns, ("means", "means", text)])
    if told["example"]:
        typer.echo(f"Example: {told['example']}")
    if now := told["now"]:
        usual = f"usual {now['usual']}, alerts from {now['alerts_from']}" if now["usual"] else ""
        state = f"{now['state']}: {_NOT_JUDGED}" if now["state"] == "not judged" else now["state"]
        typer.echo(f"{team} at present: {now['latest']}; {'; '.join(part for part in (usual, state) if part)}")


_NOT_JUDGED = "not judged: there is nothing usual yet (14 days of usage come first), or the latest window is not of the kind that the rule looks at"
