"""The command line: `tokenworth --help`.

setup      init, up, worker, doctor, rebuild      for those who run it
traffic    demo, replay                  what puts events in
results    windows, fates, alerts, explain, verify    for on-call and analysts
rules      apply, show, test, check, explain; backtest    for those who decide what counts
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from streams.cli import results, rules, setup, traffic
from streams.cli.failures import Commands

_EPILOG = """\
[bold]First steps[/bold]   tokenworth demo --exit

[bold]Settings[/bold]      environment variables TOKENWORTH_*, or the same names in lower case in tokenworth.toml

[bold]Exit codes[/bold]    0 done, 1 a check failed or results differ, 2 wrong usage or setting, 3 broker, ClickHouse or another part is not there
"""

app = typer.Typer(
    name="tokenworth",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - keeps --help instant

        typer.echo(f"tokenworth {version('tokenworth')}")
        raise typer.Exit


@app.callback()
def tokenworth(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What are the AI tokens worth? Joins AI usage with finished work on Kafka and keeps value-per-token windows in ClickHouse."""
    # Libraries warn before they raise; the message of the failure says it once. `worker` sets up logs of its own.
    logging.getLogger().addHandler(logging.NullHandler())


setup.register(app)
traffic.register(app)
results.register(app)
rules.register(app)


def main() -> None:
    """The console script."""
    app()
