"""Commands for those who run tokenworth: init, up, worker, doctor."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streams.cli.failures import FAILED, require_local
from streams.cli.output import AsJson, print_json
from streams.cli.rebuild import rebuild
from streams.cli.settings import load_settings
from streams.errors import SetupError
from streams.memory import keep_memory

if TYPE_CHECKING:
    from streams.config import Settings

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the embedded stack keeps data and logs; default: .local.")
]
BrokerChoice = Annotated[
    str,
    typer.Option(
        "--broker",
        metavar="auto|kafka|tansu|HOST:PORT",
        help="Real Apache Kafka needs Java 17 and mvn; Tansu needs neither.",
    ),
]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel: dict[str, Any] = {"rich_help_panel": "Run it"}
    app.command(epilog="Example:  TOKENWORTH_KAFKA=kafka:9092 tokenworth init --partitions 12", **panel)(init)
    app.command(epilog="Example:  tokenworth up, and in another terminal: tokenworth replay --help", **panel)(up)
    app.command(epilog="Example:  tokenworth worker --agents join --metrics-port 9100", **panel)(worker)
    app.command(epilog="Example:  tokenworth doctor --json", **panel)(doctor)
    app.command(epilog="Example:  tokenworth rebuild --from 2026-10-01 --to 2026-11-01", **panel)(rebuild)


def init(
    partitions: Annotated[
        int | None, typer.Option(help="Partitions of each topic; fixed from the first init on.")
    ] = None,
    replication: Annotated[int | None, typer.Option(help="Copies of each topic.")] = None,
    json: AsJson = False,
) -> None:
    """Create topics, tables, and the default rules and prices.

    Changes nothing that is there: run it at each deployment.
    """
    from streams.agents.initialise import initialise  # noqa: PLC0415 - keeps --help instant

    done = initialise(load_settings(partitions=partitions, replication=replication))
    if json:
        print_json(asdict(done))
        return
    for what, names in (("topics", done.topics), ("migrations", done.migrations), ("filled", done.defaults)):
        typer.echo(f"{what:<11}{', '.join(names) or 'nothing was missing'}")
    typer.echo(f"partitions {done.partitions}")


def up(
    *,
    broker: BrokerChoice = "auto",
    data_dir: DataDir = None,
    workers: Annotated[int, typer.Option(min=0, max=16, help="Worker processes.")] = 1,
    kafka_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 9092,
    clickhouse_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8123,
) -> None:
    """Run broker, ClickHouse and workers on this machine until Ctrl-C.

    At the default ports, every other command finds the stack without settings.
    """
    require_local()
    from streams.agents.initialise import initialise  # noqa: PLC0415
    from streams.local.stack import Stack  # noqa: PLC0415

    settings = load_settings(data_dir=data_dir)
    with Stack(settings.data_dir, broker, kafka_port=kafka_port, clickhouse_port=clickhouse_port) as stack:
        settings = settings.model_copy(update={"kafka": stack.kafka, "clickhouse": stack.clickhouse})
        initialise(settings)
        if stack.broker.kind == "tansu" and _has_results(settings):
            raise SetupError(
                f"{settings.data_dir} holds results of an earlier run, but Tansu kept none of their records",
                remedy="choose an empty --data-dir, or --broker kafka, which keeps its records",
            )
        for number in range(1, workers + 1):
            stack.spawn(f"worker-{number}", [sys.executable, "-m", "streams.cli", "worker"])
        typer.echo(f"broker      {stack.kafka} ({stack.broker.kind})")
        typer.echo(f"ClickHouse  {stack.clickhouse}")
        typer.echo(f"logs        {stack.logs}")
        if (kafka_port, clickhouse_port) != (9092, 8123):
            typer.echo(f"export TOKENWORTH_KAFKA={stack.kafka} TOKENWORTH_CLICKHOUSE={stack.clickhouse}")
        typer.echo("running; stop with Ctrl-C")
        stack.wait()


def _has_results(settings: Settings) -> bool:
    from streams.store.client import connect  # noqa: PLC0415
    from streams.store.reading import read  # noqa: PLC0415

    client = connect(settings.clickhouse)
    consumed = int(read(client, "results/records")["consumed"][0])
    client.close()
    return consumed > 0


def worker(
    *,
    agents: Annotated[
        str | None, typer.Option(metavar="join,windows,alerts", help="Agents to run here; default: all.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /live and /ready on loopback; default: off.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help="Static member id, unique in the group: take-overs in 2 s instead of 10.")
    ] = None,
    accept_loss: Annotated[
        bool,
        typer.Option("--accept-loss", help="Go on although Kafka lost records that were not read; record the gap."),
    ] = False,
    log_level: Annotated[LogLevel, typer.Option(help="Least level of the log on stderr.")] = "INFO",
) -> None:
    """Run one worker. Start more of them, anywhere, to share the partitions."""
    settings = load_settings(
        agents=agents, metrics_port=metrics_port, instance=instance, accept_loss=accept_loss or None
    )
    try:
        (settings.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"data_dir {settings.data_dir}: {error.strerror}",
            remedy="set TOKENWORTH_DATA_DIR to a directory that you may write",
        ) from error
    keep_memory()
    from streams.agents.worker import run  # noqa: PLC0415

    run(settings, log_level=log_level)


def doctor(json: AsJson = False) -> None:
    """Check broker, topics, partition counts, ClickHouse, schemas and clock, and say what to do.

    Exit code 1 when something is not as it should be.
    """
    from streams.cli.checks import run_checks  # noqa: PLC0415

    settings = load_settings()
    checks = []
    for check in run_checks(settings):
        checks.append(check)
        if not json:
            typer.secho(f"{'ok' if check.ok else 'PROBLEM':<9}", fg="green" if check.ok else "red", nl=False)
            typer.echo(f"{check.name:<18}{check.finding}")
            if check.remedy:
                typer.echo(f"{'':<27}-> {check.remedy}")
    if json:
        print_json([asdict(check) for check in checks])
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED)
