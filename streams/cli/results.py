"""Commands that show results: windows, models, fates, alerts, verify. `explain` and `alerts` have files of their own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import typer

from streams.cli import alerts
from streams.cli.asking import Tenant, ask
from streams.cli.explain import explain
from streams.cli.failures import FAILED
from streams.cli.output import AsJson, Column, count, moment, percent, print_json, print_table, ratio, text, usd, value
from streams.cli.progress import say
from streams.cli.settings import load_settings

Team = Annotated[str, typer.Option("--team", help="One team only.")]
By = Literal["team", "tool", "model", "class", "tenant"]
Size = Literal["1h", "24h", "7d", "28d"]

_GROUPINGS: Final = {
    ("team", False): "team",
    ("team", True): "team",
    ("tool", False): "tenant_tool",
    ("tool", True): "team_tool",
    ("model", False): "tenant_model",
    ("model", True): "team_model",
    ("class", False): "tenant_class",
    ("class", True): "team_class",
    ("tenant", False): "tenant",
    ("tenant", True): "team",
}
"""Grouping of value_windows by (--by, one team only)."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel: dict[str, Any] = {"rich_help_panel": "See results"}
    app.command(
        epilog="Examples:  tokenworth windows\n\n           tokenworth windows --team search --size 7d --last 8\n\n"
        "           tokenworth windows --by model --size 28d --json",
        **panel,
    )(windows)
    app.command(epilog="Example:  tokenworth models", **panel)(models)
    app.command(epilog="Example:  tokenworth fates --by team --days 7", **panel)(fates)
    alerts.register(app, panel["rich_help_panel"])
    app.command(epilog="Example:  tokenworth explain PAY-12", **panel)(explain)
    app.command(epilog="Example:  tokenworth verify --json", **panel)(verify)


def windows(
    *,
    team: Team = "",
    by: Annotated[By, typer.Option(help="What a row is.")] = "team",
    size: Annotated[Size, typer.Option(help="Core value per Mtok exists for 7d and 28d.")] = "7d",
    last: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Windows to show; default: 1; 8 of one team.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="The latest end to show, UTC; default: now.")] = None,
    tenant: Tenant = "",
    json: AsJson = False,
) -> None:
    """Spend, core work and their ratio in the latest final windows.

    A ratio that cannot be told is replaced by the reason why.
    """
    until_s = int(until.replace(tzinfo=UTC).timestamp()) if until else int(time.time()) + 86_400
    rows = ask(
        "results/windows",
        tenant,
        grouping=_GROUPINGS[by, bool(team)],
        team=team,
        size=size,
        last=last or (8 if team else 1),
        until_s=until_s,
    )
    if json:
        print_json(rows)
        return
    for row in rows:
        row["unknown"] = (row["unknown_request_share"] or 0.0) + (row["partial_request_share"] or 0.0)
        row["per_mtok"] = _or_reason(row, "core_per_mtok", ratio)
        row["unit_cost"] = _or_reason(row, "unit_cost_micro_usd", usd)
    name = {"class": "work_class", "tenant": "team"}.get(by, by)
    core: list[Column] = [
        ("core work", "net_core_value_milli", value),
        ("core per Mtok", "per_mtok", text),
        ("cost per core item", "unit_cost", text),
    ]
    with_core = any(row["net_core_value_milli"] is not None for row in rows)
    columns: list[Column] = [
        ("window end", "window_end", moment),
        (by, name, lambda shown: shown or ("(all)" if by == "tenant" else "(none)")),
        ("AI spend", "standard_cost_micro_usd", usd),
        ("requests", "requests", count),
        ("items", "items_completed", count),
        *(core if with_core else ()),
        ("no item", "unattributed_cost_share", percent),
        ("not fully known", "unknown", percent),
        ("reopened", "reopened_share", percent),
    ]
    print_table(rows, columns, title=f"Final {size} windows by {by}", nothing="no final windows yet")
    if rows and not with_core:
        typer.echo(f"without core work and its ratios: {_plain(rows[0]['core_null_reason'])}")


def models(tenant: Tenant = "", json: AsJson = False) -> None:
    """Compare models by unit cost, on items that one of them carried.

    Within one type and size of work, and with the share of items that the comparison covers: who gets which model is not by chance.
    """
    rows = ask("results/models", tenant)
    if json:
        print_json(rows)
        return
    for row in rows:
        row["unit_cost"] = usd(row["unit_cost_micro_usd"]) or f"({_plain(row['null_reason'])})"
    columns: list[Column] = [
        ("type", "item_type", text),
        ("size", "size", text),
        ("tool", "tool", text),
        ("model", "model", text),
        ("items", "items", count),
        ("covers", "items_share", percent),
        ("AI spend", "standard_cost_micro_usd", usd),
        ("cost per core item", "unit_cost", text),
    ]
    print_table(
        rows,
        columns,
        title="Unit cost of models, where one carried the item",
        nothing="no items that one model carried",
    )


def fates(
    *,
    team: Team = "",
    days: Annotated[int, typer.Option(min=1, help="Days of usage, up to the latest.")] = 28,
    by: Annotated[Literal["fate", "team"], typer.Option(help="What a row is.")] = "fate",
    tenant: Tenant = "",
    json: AsJson = False,
) -> None:
    """Where the spend went, as known now: every token is in exactly one fate."""
    rows = ask("results/fates", tenant, team=team, days=days)
    if json:
        print_json(rows)
        return
    (_print_team_fates if by == "team" else _print_fates)(rows, days)


def verify(
    wait_s: Annotated[float, typer.Option(min=0, help="How long running workers may take to settle.")] = 60.0,
    json: AsJson = False,
) -> None:
    """Recompute every stored result from the raw events with independent SQL, and compare row by row.

    Exit code 1 when a row differs: its key is named. The outcome is stored; a mismatch also fires the alert verify_mismatch.
    """
    from streams.store.client import connect  # noqa: PLC0415 - keeps --help instant
    from streams.store.probes import note_verification  # noqa: PLC0415
    from streams.store.sink import ClickHouseInserts, Sink  # noqa: PLC0415
    from streams.store.verify import verify as run  # noqa: PLC0415

    settings = load_settings()
    client = connect(settings.clickhouse)
    report = run(
        client,
        wait_s=wait_s,
        allowed_lateness_s=settings.allowed_lateness_s,
        progress=None if json else lambda what, share: say(f"{what} {share:.0%}"),
    )
    note_verification(Sink(ClickHouseInserts(client), "verify"), report)
    if json:
        print_json({**asdict(report), "rows": report.rows, "different": report.different, "ok": report.ok})
    else:
        columns: list[Column] = [("table", "table", text), ("rows", "rows", count), ("different", "different", count)]
        print_table([asdict(table) for table in report.tables], columns)
        for table in report.tables:
            for key in table.keys:
                typer.echo(f"differs in {table.table}: {key}")
        if report.note:
            typer.echo(report.note)
        typer.echo(f"{report.rows:,} rows compared in {report.seconds:.1f} s, {report.different:,} different")
    if not report.ok:
        raise typer.Exit(FAILED)


def _print_fates(rows: list[dict[str, Any]], days: int) -> None:
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        found = sums.setdefault(
            row["fate"], {"fate": row["fate"], "requests": 0, "tokens": 0, "standard_cost_micro_usd": 0}
        )
        for name in ("requests", "tokens", "standard_cost_micro_usd"):
            found[name] += row[name]
    total = sum(found["standard_cost_micro_usd"] for found in sums.values())
    for found in sums.values():
        found["share"] = found["standard_cost_micro_usd"] / total if total else None
    columns: list[Column] = [
        ("fate", "fate", _plain),
        ("AI spend", "standard_cost_micro_usd", usd),
        ("share", "share", percent),
        ("requests", "requests", count),
        ("tokens", "tokens", count),
    ]
    ordered = sorted(sums.values(), key=lambda found: -found["standard_cost_micro_usd"])
    print_table(ordered, columns, title=f"Where {usd(total)} of {days} days went", nothing="no usage yet")


def _print_team_fates(rows: list[dict[str, Any]], days: int) -> None:
    teams: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        teams[row["team"]]["total"] += row["standard_cost_micro_usd"]
        teams[row["team"]][row["fate"]] += row["standard_cost_micro_usd"]
    names = [name for name in _FATES if any(name in found for found in teams.values())]
    shown = [
        {
            "team": team,
            "total": int(found["total"]),
            **{n: found[n] / found["total"] if found["total"] else None for n in names},
        }
        for team, found in sorted(teams.items(), key=lambda entry: -entry[1]["total"])
    ]
    columns: list[Column] = [
        ("team", "team", text),
        ("AI spend", "total", usd),
        *((_plain(n), n, percent) for n in names),
    ]
    print_table(shown, columns, title=f"Where the spend of {days} days went", nothing="no usage yet")


_FATES: Final = (
    "core",
    "supporting",
    "low_value",
    "in_flight",
    "enabling",
    "unattributed",
    "canceled",
    "stalled",
    "after_close",
    "excluded",
    "unknown_item",
)


def _or_reason(row: dict[str, Any], name: str, show: Callable[[Any], str]) -> str:
    reason = row[f"{name.removesuffix('_micro_usd')}_null_reason"]
    return show(row[name]) if row[name] is not None else f"({_plain(reason)})"


def _plain(name: str) -> str:
    return name.replace("_", " ")
