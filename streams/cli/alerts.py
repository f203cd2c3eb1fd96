"""Alerts: what fires and what fired, all that is known of one, and whether a channel works. `silences.py` has what people say about them."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import silences
from streams.cli.asking import Question, Tenant
from streams.cli.failures import FAILED, Commands
from streams.cli.output import AsJson, Column, count, moment, print_json, print_table, text
from streams.cli.settings import load_settings
from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.deliver.quiet import Quiet
    from streams.detect.alert import Alert

OpenOnly = Annotated[bool, typer.Option("--open", help="Only those that are not over.")]
Team = Annotated[str, typer.Option("--team", help="One team only.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Its id in the list, or enough of its beginning.")]
ID_CHARS = 8
"""Of the fingerprint, in lists."""


def register(app: typer.Typer, panel: str) -> None:
    """Add the group `alerts`; without a command it lists them."""
    group = typer.Typer(
        cls=Commands,
        rich_markup_mode="rich",
        epilog="Examples:  tokenworth alerts --open\n\n           tokenworth alerts show 3f9a\n\n"
        '           tokenworth alerts silence team=search --for 4h --why "load test"',
    )
    group.callback(invoke_without_command=True)(alerts)
    group.command("list", epilog="Example:  tokenworth alerts list --open --team search")(list_)
    group.command("show", epilog="Example:  tokenworth alerts show 3f9a")(show)
    silences.register(group)
    group.command("test-channel", epilog="Example:  tokenworth alerts test-channel on-call")(test_channel)
    app.add_typer(group, name="alerts", rich_help_panel=panel)


def alerts(
    ctx: typer.Context, *, open_only: OpenOnly = False, team: Team = "", tenant: Tenant = "", json: AsJson = False
) -> None:
    """Alerts, the latest first: what happened, against what is usual, and since when. The same as `tokenworth alerts list`."""
    if not ctx.invoked_subcommand:
        list_(open_only=open_only, team=team, tenant=tenant, json=json)


def list_(*, open_only: OpenOnly = False, team: Team = "", tenant: Tenant = "", json: AsJson = False) -> None:
    """Alerts, the latest first: what happened, against what is usual, and since when; and whether somebody is told of it."""
    question, now_us = Question(tenant), int(time.time() * 1e6)
    rows = question.rows("results/alerts", team=team, open_only=int(open_only))
    quiet = silences.quiet_of(question, now_us)
    known = {(alert.fingerprint, alert.started_at): alert for alert in quiet.alerts}
    for row in rows:
        alert = known.get((row["fingerprint"], silences.micros(row["started_at"])))
        row["notices"] = silences.notices(alert, quiet, now_us) if alert else ""
    if json:
        print_json(rows)
        return
    columns: list[Column] = [
        ("id", "fingerprint", lambda shown: str(shown)[:ID_CHARS]),
        ("state", "state", text),
        ("kind", "kind", text),
        ("team", "team", text),
        ("began", "started_at", moment),
        ("resolved", "resolved_at", moment),
        ("what", "summary", text),
    ]
    if any(row["notices"] for row in rows):
        columns.insert(-1, ("notices", "notices", text))
    print_table(rows, columns, nothing="no alerts")


def show(identity: Id, tenant: Tenant = "", json: AsJson = False) -> None:
    """All that is known of one alert: its figures, its episodes, what was sent to whom, silences and who has acknowledged it."""
    from streams.deliver.messages import notice  # noqa: PLC0415 - keeps --help instant

    question, now_us = Question(tenant), int(time.time() * 1e6)
    episodes = silences.episodes_of(question, identity)
    alert, quiet = episodes[0], silences.quiet_of(question, now_us)
    told = question.rows("alerts/notices", fingerprint=alert.fingerprint, started_at=alert.started_at)
    ack = quiet.acknowledged(alert, now_us)
    for row in told:
        row["next_at"] = row["due_at"] if row["status"] == "due" or (alert.open and not ack) else None
    matching = [silence for silence in quiet.silences if silence.matches(alert.labels)]
    if json:
        print_json({
            "fingerprint": alert.fingerprint,
            "labels": alert.labels,
            "notices": silences.notices(alert, quiet, now_us),
            "episodes": [{**asdict(episode), **_episode(episode)} for episode in episodes],
            "deliveries": told,
            "silences": [silences.silence_row(silence, now_us) for silence in matching],
            "acknowledgement": silences.acknowledgement_row(ack) if ack else None,
        })  # fmt: skip
        return
    message = notice(alert, "", now_us)
    typer.echo(message.title)
    for what, said in (("Id", alert.fingerprint), ("State", _state(alert, quiet, now_us)), *message.facts):
        typer.echo(f"{what}: {said}")
    typer.echo("")
    print_table([_episode(one) for one in episodes[:_EPISODES]], _EPISODE_COLUMNS, title="Episodes, the latest first")
    print_table(
        told, _DELIVERY_COLUMNS, title="Notices of the latest", nothing="No notice was sent and none is expected."
    )
    if matching:
        silences.print_silences([silences.silence_row(silence, now_us) for silence in matching], "Silences that match")


_EPISODES = 10
_EPISODE_COLUMNS: list[Column] = [
    ("state", "state", text),
    ("began", "started_at", moment),
    ("fired", "fired_at", moment),
    ("false since", "clear_since", moment),
    ("over", "resolved_at", moment),
]
_DELIVERY_COLUMNS: list[Column] = [
    ("channel", "channel", text),
    ("notice", "event", text),
    ("status", "status", text),
    ("attempts", "attempts", count),
    ("sent", "sent_at", moment),
    ("next", "next_at", moment),
    ("last error", "error", text),
]


def _episode(alert: Alert) -> dict[str, Any]:
    times = ("started_at", "fired_at", "clear_since", "resolved_at")
    return {"state": alert.state, **{name: silences.instant(getattr(alert, name)) for name in times}}


def _state(alert: Alert, quiet: Quiet, now_us: int) -> str:
    return ", ".join(part for part in (alert.state, silences.notices(alert, quiet, now_us)) if part)


def test_channel(name: Annotated[str, typer.Argument(help="Its name in the channels file.")]) -> None:
    """Send a test to a channel: an alert of kind digest that fires and is over at once. Says what became of it.

    Exit code 1 when the channel did not take it.
    """
    from streams.deliver.channel import Delivered  # noqa: PLC0415 - keeps --help instant
    from streams.deliver.configuration import load_channels  # noqa: PLC0415
    from streams.deliver.messages import test_notice  # noqa: PLC0415

    setting = load_settings().channels
    if not setting:
        raise ConfigError("TOKENWORTH_CHANNELS", "no channels file", remedy="set it to the path of one: docs/alerts.md")
    channels = load_channels(Path(setting))
    if name not in channels:
        raise ConfigError("NAME", f"no channel {name!r}", remedy=f"the file has: {', '.join(channels) or 'none'}")
    channel, now_us = channels[name], int(time.time() * 1e6)
    for event in ("firing", "resolved"):
        outcome = channel.send(test_notice(event, name, now_us))
        if not isinstance(outcome, Delivered):
            typer.echo(f"{name}: the {event} notice was not delivered: {outcome.reason}")
            raise typer.Exit(FAILED)
    typer.echo(f"{name}: delivered, a test that fires and one that says it is over")
