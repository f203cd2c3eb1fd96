"""Commands that put events in: demo and replay."""

from __future__ import annotations

import socket
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.comparison import compare_models, print_comparison
from streams.cli.failures import FAILED, require_local
from streams.cli.output import AsJson, print_json
from streams.cli.progress import Reporter, counting, say
from streams.cli.settings import load_settings
from streams.cli.setup import BrokerChoice, DataDir
from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.config import Settings
    from streams.local.stack import Stack


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel: dict[str, Any] = {"rich_help_panel": "Put events in"}
    app.command(
        epilog="Examples:  tokenworth demo\n\n           tokenworth demo --exit --events 60000 --json facts.json",
        **panel,
    )(demo)
    app.command(
        epilog="Examples:  tokenworth replay runs.csv.gz --mapping agent_runs\n\n"
        "           tokenworth replay runs.csv.gz --mapping agent_runs --compare\n\n"
        "           tokenworth replay tickets.jsonl --mapping my_mapping.toml --speed 3600",
        **panel,
    )(replay)


def demo(
    *,
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the screen instead of staying up for queries.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the traffic.")] = 7,
    days: Annotated[int, typer.Option(min=1, max=366, help="Episodes are injected from 21 days on.")] = 28,
    teams: Annotated[int, typer.Option(min=1, max=200)] = 12,
    events: Annotated[
        int, typer.Option(min=1000, max=20_000_000, help="Usage events; spend does not depend on them.")
    ] = 600_000,
    facts: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the same facts there.")] = None,
    broker: BrokerChoice = "auto",
    data_dir: DataDir = None,
) -> None:
    """Made traffic through the whole pipeline, and what ClickHouse says about it on one screen.

    Starts a broker, ClickHouse and a worker on this machine; needs the extra 'local' and about two minutes.
    Exit code 1 when a stored row differs from what the raw events give, or records are lost.
    """
    require_local()
    from rich.console import Console  # noqa: PLC0415 - keeps --help instant

    from streams.local.demo.facts import as_facts  # noqa: PLC0415
    from streams.local.demo.run import DemoOptions, run_demo  # noqa: PLC0415
    from streams.local.demo.screen import WIDTH, render  # noqa: PLC0415

    settings = load_settings(data_dir=data_dir)
    if facts is not None:
        _writable(facts)
    kafka_port, clickhouse_port = (0, 0) if leave else (_free_or_any(9092), _free_or_any(8123))
    options = DemoOptions(seed, days, teams, events, broker, kafka_port, clickhouse_port)
    with run_demo(options, settings, Reporter()) as shown:
        console = Console(width=max(WIDTH, Console().width) if sys.stdout.isatty() else 160, highlight=False)
        console.print()
        for line in render(shown.story):
            console.print(line, soft_wrap=True)
        say(f"finished in {shown.seconds:.0f} s")
        if facts is not None:
            facts.write_text(dumps(as_facts(shown.story, shown.seconds), indent=2) + "\n", encoding="utf-8")
        if not leave:
            _invite(shown.stack, default_ports=(kafka_port, clickhouse_port) == (9092, 8123))
            shown.stack.wait()
    if not shown.story.trustworthy:
        raise typer.Exit(FAILED)


def _free_or_any(port: int) -> int:
    """The port if nobody has it, else 0 for any: the demo should find a place beside a stack that runs."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", port)) == 0 else port


def _invite(stack: Stack, *, default_ports: bool) -> None:
    """How to ask the running stack."""
    typer.echo("")
    typer.echo("  The stack stays up until Ctrl-C. In another terminal:")
    if not default_ports:
        typer.echo(f"    export TOKENWORTH_KAFKA={stack.kafka} TOKENWORTH_CLICKHOUSE={stack.clickhouse}")
    typer.echo("    tokenworth windows --team search        tokenworth alerts        tokenworth fates")
    url = stack.clickhouse.rpartition("/")[0]
    typer.echo(
        f"    curl '{url}/?database=tokenworth' -d 'SELECT * FROM v_spend_fate_daily LIMIT 5 FORMAT PrettyCompact'"
    )


def _writable(path: Path) -> None:
    """Better now than after two minutes."""
    try:
        path.open("a").close()
    except OSError as error:
        raise ConfigError("--json", f"{path}: {error.strerror}", remedy="name a file that you may write") from error


def replay(
    *,
    file: Annotated[Path, typer.Argument(help=".csv or .jsonl, each also with .gz.")],
    mapping: Annotated[str, typer.Option(help="A TOML file, or one that ships: agent_runs, github_pull_requests.")],
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Event-time seconds per second; default: as fast as it goes.")
    ] = None,
    publish_only: Annotated[
        bool,
        typer.Option(
            "--publish-only", help="Without init: needs Kafka, but neither ClickHouse nor the extra 'worker'."
        ),
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Wait for the workers, then compare models by cost per completed item.")
    ] = False,
    wait_s: Annotated[float, typer.Option(min=0, help="With --compare: how long workers may apply nothing.")] = 60.0,
    json: AsJson = False,
) -> None:
    """Publish the rows of a table as usage and work-item events, in the order of their time.

    A mapping says which columns make which fields. Rows that make no event are counted with the reason.
    """
    from streams.publish.mapping import load_mapping  # noqa: PLC0415 - keeps --help instant
    from streams.publish.pseudonyms import Pseudonyms  # noqa: PLC0415
    from streams.publish.replay import read_table  # noqa: PLC0415
    from streams.publish.replay import replay as publish  # noqa: PLC0415

    if compare and publish_only:
        raise ConfigError("--compare", "needs ClickHouse, which --publish-only does without", remedy="leave one out")
    settings = load_settings()
    rows = load_mapping(mapping)
    key = settings.actor_key.get_secret_value()
    table = read_table(file, rows, Pseudonyms(key) if key else None)
    if not publish_only:
        _prepare(settings, rows.tenant, rows.privacy_floor)
    with counting("published", len(table.events)) as progress:
        publish(settings, table, speed=speed, progress=progress)
    facts = {
        "rows": table.rows,
        "usage_events": table.usage_events,
        "work_item_events": table.work_item_events,
        "skipped": len(table.skipped),
        "reasons": dict(table.reasons.most_common()),
    }
    compared = compare_models(settings, rows.tenant, wait_s) if compare else None
    if json:
        print_json(facts | ({"models": compared[0], "total": compared[1]} if compared else {}))
        return
    typer.echo(
        f"{table.rows:,} rows made {table.usage_events:,} usage events and {table.work_item_events:,} work-item events"
    )
    for reason, number in table.reasons.most_common():
        typer.echo(f"  {number:,} rows skipped: {reason}")
    if compared:
        print_comparison(*compared, rows.tenant)
    else:
        typer.echo("a worker applies them: tokenworth worker; then: tokenworth windows --by model")


def _prepare(settings: Settings, tenant: str, privacy_floor: int | None) -> None:
    from streams.agents.initialise import initialise  # noqa: PLC0415
    from streams.agents.topics import partition_counts  # noqa: PLC0415
    from streams.config import USAGE_TOPIC  # noqa: PLC0415
    from streams.store.client import connect  # noqa: PLC0415
    from streams.store.installation import set_privacy_floor  # noqa: PLC0415

    # An installation that is there already has its own partition count; the setting is for a new one.
    there = partition_counts(settings).get(USAGE_TOPIC, settings.partitions)
    initialise(settings.model_copy(update={"partitions": there}))
    if privacy_floor is not None:
        client = connect(settings.clickhouse)
        set_privacy_floor(client, tenant, privacy_floor)
        client.close()
