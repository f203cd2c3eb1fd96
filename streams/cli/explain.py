"""`tokenworth explain ITEM`: why a work item counts as it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from streams.cli.asking import Question, Rows, Tenant
from streams.cli.output import AsJson, Column, count, moment, print_json, print_table, text, usd
from streams.errors import TokenworthError

_WINDOW_S: Final = {"1h": (3600, 300), "24h": (86_400, 3600), "7d": (604_800, 21_600), "28d": (2_419_200, 86_400)}
"""Size and slide."""


def explain(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Id of a work item, as its tracker names it.")],
    tenant: Tenant = "",
    json: AsJson = False,
) -> None:
    """Why a work item counts as it does: its events, the rule that matched, its usage, its fate, the windows it touched."""
    question = Question(tenant)
    found = question.rows("results/item", item=item)
    if not found:
        similar = [row["work_item_id"] for row in question.rows("results/similar_items", item=item)]
        remedy = f"did you mean {', '.join(similar)}?" if similar else "publish its events, and start a worker"
        raise TokenworthError(f"no event ever named work item {item}", remedy=remedy)
    state = found[0]
    history = question.rows("results/item_history", item=item)
    bookings = question.rows("results/item_bookings", item=item)
    lines = [] if state["suppressed_reason"] else question.rows("results/item_lines", item=item)
    rule = _rule(question.client, state)
    windows = _windows(bookings)
    if json:
        print_json(
            {"item": state, "rule": rule, "events": history, "lines": lines, "bookings": bookings, "windows": windows}
        )
        return
    _tell(state, rule)
    print_table(history, _EVENTS, title="Events, in the order of their time")
    if state["suppressed_reason"]:
        typer.echo("usage is not shown: the team has fewer people than the privacy floor")
    else:
        print_table(lines, _LINES, title="Usage by day, team, tool and model", nothing="no AI usage")
    print_table(
        bookings,
        _BOOKINGS,
        title="What it adds to which time",
        nothing="it was never completed nor canceled: nothing is booked",
    )
    if windows:
        print_table(windows, _TOUCHED, title=f"Windows of {state['team']} that it touched")


def _rule(client: Any, state: dict[str, Any]) -> dict[str, Any]:
    """The value rule that took the item, of the set in force at its completion."""
    from streams.store.reading import ClickHouseStored  # noqa: PLC0415
    from streams.store.values import load_rules  # noqa: PLC0415 - keeps --help instant

    at = state["completed_at"] or state["first_completed_at"] or state["last_event_at"]
    rules = load_rules(ClickHouseStored(client)).at(int(at.timestamp() * 1e6))
    rule = next((rule for rule in rules.rules if rule.number == state["rule"]), None)
    if rule is None:
        return {"rule": state["rule"]}
    return {
        "rule": rule.number,
        "kind": rule.kind,
        "matches": list(rule.patterns),
        "base_milli": rule.base_milli,
        "sized": rule.sized,
        "reference_milli": rules.reference_milli.get(state["team"]) or rules.reference_milli[""],
        "work_class": rule.work_class,
    }


def _tell(state: dict[str, Any], rule: dict[str, Any]) -> None:
    points = "unsized" if state["size_points"] is None else f"{state['size_points']:g} points"
    labels = f", labels {', '.join(state['labels'])}" if state["labels"] else ""
    typer.secho(f"{state['work_item_id']}: {state['state']}, its spend counts as {state['fate']}", bold=True)
    typer.echo(f"  team       {state['team']}")
    typer.echo(f"  type       {state['item_type'] or '(none)'}{labels}, {points}")
    typer.echo(f"  rule       {_rule_text(rule)}")
    if state["state"] == "completed":
        counted = "counts in the ratios" if state["is_assisted_value"] else "outside the ratios"
        typer.echo(
            f"  value      {state['value']:.3f} typical core items, {state['assistance'].replace('_', ' ')}: {counted}"
        )
    if state["standard_cost_micro_usd"] is not None:
        share = state["main_cost_share"]
        main = f", {share:.0%} of it {state['main_tool']} with {state['main_model']}" if share else ""
        typer.echo(f"  AI spend   {usd(state['standard_cost_micro_usd'])} in {count(state['requests'])} requests{main}")
    typer.echo("")


def _rule_text(rule: dict[str, Any]) -> str:
    if "kind" not in rule:
        return f"{rule['rule']}, which is no longer there"
    if rule["kind"] != "match" and rule["kind"] != "container":
        return f"{rule['rule']} ({rule['kind'].replace('_', ' ')}): {rule['work_class']}, worth {rule['base_milli'] / 1000:g}"
    sized = f" x points / {rule['reference_milli'] / 1000:g}, between 1/3 and 8/3" if rule["sized"] else ""
    return f"{rule['rule']} ({', '.join(rule['matches'])}): {rule['work_class']}, worth {rule['base_milli'] / 1000:g}{sized}"


def _windows(bookings: Rows) -> Rows:
    """First and last end of the windows of each size that hold a booking."""
    touched: Rows = []
    for size, (length_s, slide_s) in _WINDOW_S.items():
        for row in {(row["at"], row["kind"]): row for row in bookings}.values():
            at_s = int(row["at"].timestamp()) // 300 * 300
            first = (at_s // slide_s + 1) * slide_s
            touched.append(
                {
                    "size": size,
                    "kind": row["kind"],
                    "first_end": datetime.fromtimestamp(first, UTC),
                    "last_end": datetime.fromtimestamp(first + length_s - slide_s, UTC),
                }
            )
    return touched


def _milli(change: int) -> str:
    return f"{change / 1000:+.3f}" if change else ""


def _money(change: int) -> str:
    return f"{'-' if change < 0 else ''}{usd(abs(change))}" if change else ""


_EVENTS: list[Column] = [
    ("at", "occurred_at", moment),
    ("event", "kind", text),
    ("team", "team", text),
    ("type", "item_type", text),
    ("labels", "labels", ", ".join),
    ("points", "size_milli", lambda milli: f"{milli / 1000:g}" if milli else ""),
    ("link", "link_type", text),
    ("to", "link_value", text),
]
_LINES: list[Column] = [
    ("day", "usage_day", text),
    ("team", "team", text),
    ("tool", "tool", text),
    ("model", "model", text),
    ("requests", "requests", count),
    ("tokens", "tokens", count),
    ("AI spend", "standard_cost_micro_usd", usd),
]
_BOOKINGS: list[Column] = [
    ("at", "at", moment),
    ("booking", "kind", text),
    ("team", "team", text),
    ("tool", "tool", text),
    ("model", "model", text),
    ("class", "work_class", text),
    ("value", "net_value_milli", _milli),
    ("matched spend", "net_matched_micro_usd", _money),
    ("abandoned spend", "net_abandoned_micro_usd", _money),
]
_TOUCHED: list[Column] = [
    ("size", "size", text),
    ("booking", "kind", text),
    ("first window end", "first_end", moment),
    ("last window end", "last_end", moment),
]
