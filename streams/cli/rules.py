"""Commands for those who decide what counts: rules show, test, apply on value rules; check and explain of alert_rules.py on alert rules."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import alert_rules
from streams.cli.backtest import backtest
from streams.cli.failures import Commands
from streams.cli.output import AsJson, Column, count, print_json, print_table, text, value
from streams.cli.settings import load_settings
from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.value.rules import RuleSet

RulesFile = Annotated[Path | None, typer.Option("--rules", metavar="FILE", help="Value rules (TOML).")]
PricesFile = Annotated[Path | None, typer.Option("--prices", metavar="FILE", help="Price book (TOML).")]


def register(app: typer.Typer) -> None:
    """Add the group `rules`, and `backtest`."""
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode="rich",
        help="Value rules (what work is worth, what tokens cost): show, test, apply. Alert rules (what is told to whom): check, explain.",
    )
    group.command(epilog="Example:  tokenworth rules show --prices-too")(show)
    group.command(
        "test",
        epilog="Examples:  tokenworth rules test --type story --label backend --points 5\n\n"
        "           tokenworth rules test --rules my_rules.toml",
    )(try_out)
    group.command(epilog="Example:  tokenworth rules apply --rules my_rules.toml --prices my_prices.toml")(apply)
    alert_rules.register(group)
    panel = "Decide what counts"
    app.add_typer(group, name="rules", rich_help_panel=panel)
    app.command(
        epilog="Examples:  tokenworth backtest --from 2026-10-01 --to 2026-11-01\n\n"
        "           tokenworth backtest my_alerts.toml --labels incidents.csv",
        rich_help_panel=panel,
    )(backtest)


def show(
    prices_too: Annotated[bool, typer.Option("--prices-too", help="Show the price book as well.")] = False,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Those that ship with tokenworth; needs no ClickHouse.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show the value rules in force now, in the order in which they are tried."""
    rules, prices = _loaded(shipped)
    now_us = time.time_ns() // 1000
    in_force = rules.at(now_us)
    rule_rows = in_force.rows_for_tables()
    price_rows = [row for row in prices.rows_for_tables() if row["effective_from"] <= now_us]
    later = [one.effective_from for one in rules.sets if one.effective_from > now_us]
    if json:
        print_json({"rules": rule_rows, "prices": price_rows, "later_rule_sets": later})
        return
    print_table(
        rule_rows,
        [
            ("#", "rule", _number),
            ("kind", "kind", text),
            ("matches", "patterns", lambda patterns: ", ".join(p or "every team" for p in patterns)),
            ("value", "base_milli", value),
            ("sized", "sized", lambda sized: "yes" if sized else ""),
            ("class", "work_class", text),
        ],
        title="Value rules: the first match wins; a label overrides the class after rule 4",
    )
    if prices_too:
        print_table(price_rows, _PRICE_COLUMNS, title="Prices in USD per million tokens")


def try_out(
    *,
    rules: RulesFile = None,
    item_type: Annotated[str | None, typer.Option("--type", help="Try one item: its type.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="Its labels.")] = None,
    points: Annotated[float | None, typer.Option(help="Its size.")] = None,
    team: Annotated[str, typer.Option(help="Its team, for the reference size.")] = "",
    json: AsJson = False,
) -> None:
    """Try value rules out: on one item, or, with --rules alone, on all completed items that ClickHouse holds."""
    from streams.value.rules import RuleSet  # noqa: PLC0415 - keeps --help instant

    if item_type is None and not label:
        if rules is None:
            raise ConfigError(
                "rules test", "nothing to try", remedy="give --type and --label of an item, or --rules FILE"
            )
        _test_all(RuleSet.from_toml(_read(rules), str(rules)), json)
        return
    rule_set = (
        RuleSet.from_toml(_read(rules), str(rules)) if rules else _loaded(shipped=False)[0].at(time.time_ns() // 1000)
    )
    match = rule_set.match(item_type or "", label or [], evidence=False, worked=True)
    size_milli = None if points is None else round(points * 1000)
    worth = 0 if match.excluded else rule_set.value_milli(match, size_milli, team)
    found = {
        "rule": match.rule,
        "kind": match.kind,
        "work_class": match.work_class,
        "label": match.label,
        "value_milli": worth,
    }
    if json:
        print_json(found)
        return
    by = f", its class from the label {match.label}" if match.label else ""
    typer.echo(f"rule {match.rule} ({match.kind}){by}: {match.work_class}, worth {value(worth)} of a typical core item")


def apply(
    rules: RulesFile = None,
    prices: PricesFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the files only.")] = False,
) -> None:
    """Load value rules and prices that come into force at least an hour from now.

    What is in force never changes: results would no longer follow from it.
    """
    from streams.store.installation import insert_values  # noqa: PLC0415
    from streams.value.prices import PriceBook, check_effective, price_lines  # noqa: PLC0415
    from streams.value.rules import Rules, RuleSet  # noqa: PLC0415

    if rules is None and prices is None:
        raise ConfigError("rules apply", "nothing to load", remedy="give --rules FILE, --prices FILE or both")
    now_us = time.time_ns() // 1000
    rule_set = RuleSet.from_toml(_read(rules), str(rules)) if rules else None
    lines = price_lines(_read(prices), str(prices)) if prices else []
    loaded, book = _loaded(shipped=False)
    rows: dict[str, list[dict[str, Any]]] = {}
    if rule_set is not None:
        rule_set.check_effective(now_us)
        Rules([*loaded.sets, rule_set])
        rows["value_rules"] = rule_set.rows_for_tables()
    if prices is not None:
        new_lines = [line for line in lines if line not in book.lines]
        check_effective(new_lines, now_us, str(prices))
        PriceBook([*book.lines, *new_lines], str(prices))
        rows["price_book"] = [line.row() for line in new_lines]
    if not dry_run:
        client = _client()
        for table, new in rows.items():
            if new:
                insert_values(client, table, new)
    for table, new in rows.items():
        typer.echo(
            f"{table}: {len(new)} rows {'are valid' if dry_run else 'loaded; workers read them within 10 minutes'}"
        )


def _test_all(rule_set: RuleSet, json: bool) -> None:
    """How the work class of completed items would change."""
    rows = (
        _client()
        .query(
            "SELECT item_type, labels, size_milli, team, evidence, work_class, value_milli, assistance FROM work_items FINAL WHERE state = 'completed'"
        )
        .result_rows
    )
    moves: Counter[tuple[str, str]] = Counter()
    worth: Counter[tuple[str, str]] = Counter()
    for item_type, labels, size_milli, team, evidence, before, value_before, assistance in rows:
        match = rule_set.match(item_type, labels, evidence=bool(evidence), worked=assistance != "closed_without_work")
        after = 0 if match.excluded else rule_set.value_milli(match, size_milli or None, team)
        moves[before, match.work_class] += 1
        worth[before, match.work_class] += after - value_before
    found = [
        {"from": a, "to": b, "items": items, "value_milli_change": worth[a, b]}
        for (a, b), items in sorted(moves.items())
    ]
    if json:
        print_json(found)
        return
    columns: list[Column] = [("class now", "from", text), ("with these rules", "to", text), ("items", "items", count)]
    print_table(
        found,
        [*columns, ("value", "value_milli_change", lambda milli: f"{milli / 1000:+,.1f}")],
        nothing="no completed items",
    )


def _loaded(shipped: bool) -> tuple[Any, Any]:
    from streams.value.prices import PriceBook  # noqa: PLC0415
    from streams.value.rules import Rules  # noqa: PLC0415

    if shipped:
        return Rules.shipped(), PriceBook.shipped()
    from streams.store.reading import ClickHouseStored  # noqa: PLC0415
    from streams.store.values import load_prices, load_rules  # noqa: PLC0415

    client = _client()
    stored = ClickHouseStored(client)
    return load_rules(stored), load_prices(stored)


def _client() -> Any:
    from streams.store.client import connect  # noqa: PLC0415

    return connect(load_settings().clickhouse)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"cannot be read: {error}", remedy="give a TOML file in UTF-8") from error


def _number(rule: int) -> str:
    return str(rule or "")


def _model(name: str) -> str:
    return {"": "(any other)", "*": "(reference)"}.get(name, name)


def _usd(micro_usd: int) -> str:
    return f"{micro_usd / 1e6:g}" if micro_usd else ""


_PRICE_COLUMNS: list[Column] = [
    ("model", "model", _model),
    ("like", "alias_of", text),
    ("input", "input_price", _usd),
    ("cache read", "cache_read_price", _usd),
    ("write 5m", "cache_write_5m_price", _usd),
    ("write 1h", "cache_write_1h_price", _usd),
    ("output", "output_price", _usd),
]
