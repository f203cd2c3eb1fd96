"""What people say about alerts: `tokenworth alerts ack`, `silence` and `silences`."""

from __future__ import annotations

import getpass
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from streams.cli.asking import Question, Tenant
from streams.cli.durations import duration_us
from streams.cli.output import AsJson, Column, moment, print_json, print_table, text
from streams.cli.settings import load_settings
from streams.errors import ConfigError

if TYPE_CHECKING:
    from streams.deliver.quiet import Quiet
    from streams.detect.alert import Alert
    from streams.detect.silences import Acknowledgement, Silence

Why = Annotated[str, typer.Option("--why", help="Why, for those who are on call next.")]
By = Annotated[str, typer.Option("--by", help="Who: a pseudonym; default: the operating system's user name.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `alerts`."""
    group.command(epilog='Example:  tokenworth alerts ack 3f9a --why "stopping the batch job"')(ack)
    group.command(
        epilog='Examples:  tokenworth alerts silence team=search --for 4h --why "load test"\n\n'
        "           tokenworth alerts silence 'alertname=~\"spend.*\"' kind!=page --for 2d --why migration",
    )(silence)
    group.command(
        epilog="Examples:  tokenworth alerts silences\n\n           tokenworth alerts silences --expire 1c6e"
    )(silences)


def ack(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id in the list, or enough of its beginning.")],
    *,
    why: Why,
    lasts: Annotated[str, typer.Option("--for", help="Reminders begin again after 30m, 4h, 2d; default: never.")] = "",
    by: By = "",
    tenant: Tenant = "",
) -> None:
    """Say that you have taken an alert on: no more reminders of this episode. Its end is told; the next episode is told anew."""
    from streams.deliver.messages import title  # noqa: PLC0415 - keeps --help instant
    from streams.detect.silences import Acknowledgement  # noqa: PLC0415
    from streams.store.silences import acknowledgement_rows  # noqa: PLC0415

    _say_why(why)
    question, now_us = Question(tenant), _now_us()
    until = now_us + duration_us(lasts, "--for") if lasts else 0
    alert = episodes_of(question, identity)[0]
    if not (alert.open and alert.fired_at):
        raise ConfigError("ID", f"alert {alert.fingerprint} does not fire: it is {alert.state}", remedy=_LIST)
    taken = Acknowledgement(alert.fingerprint, alert.started_at, now_us, by or _user(), why, until)
    question.write("alert_acknowledgements", acknowledgement_rows(taken))
    typer.echo(f"acknowledged by {taken.acked_by}: {title(alert)}")
    typer.echo(f"no reminders until {'it is over' if not until else moment(instant(until)) + ' UTC'}")


def silence(
    matchers: Annotated[
        list[str],
        typer.Argument(
            metavar="MATCHER...",
            help='On labels, as team=search, team!=search, alertname=~"spend.*" or kind!~page; all must match.',
        ),
    ],
    *,
    lasts: Annotated[str, typer.Option("--for", help="How long: 30m, 4h, 2d.")],
    why: Why,
    begins: Annotated[datetime | None, typer.Option("--from", help="When it begins, UTC; default: now.")] = None,
    by: By = "",
    tenant: Tenant = "",
    json: AsJson = False,
) -> None:
    """Send no notices of alerts that match, for a while. They are kept and listed; what still fires at the end is told then.

    Labels: alertname (the rule), team, kind (page, ticket or digest), window, tenant (empty: what concerns all of them).
    """
    from streams.detect.silences import Matcher, Silence, matchers_of  # noqa: PLC0415 - keeps --help instant
    from streams.store.silences import silence_rows  # noqa: PLC0415

    found, question, now_us = matchers_of(matchers), Question(tenant), _now_us()
    if tenant:
        found += (Matcher("tenant", tenant),)
    elif not any(matcher.name == "tenant" for matcher in found):
        _ = question.tenant  # where there are several, somebody has to say whose
    starts_at = micros(begins.replace(tzinfo=UTC)) if begins else now_us
    ends_at = starts_at + duration_us(lasts, "--for")
    made = Silence(uuid4().hex[:8], found, starts_at, ends_at, now_us, by or _user(), why)
    if ends_at <= now_us:
        raise ConfigError(
            "--from", "the silence would be over already", remedy="give a later beginning, or leave it out"
        )
    question.write("alert_silences", silence_rows(made, now_us))
    held = [alert for alert in quiet_of(question, now_us).alerts if alert.open and made.matches(alert.labels)]
    if json:
        print_json({**silence_row(made, now_us), "alerts": [alert.fingerprint for alert in held]})
        return
    typer.echo(
        f"silence {made.id} from {moment(instant(starts_at))} until {moment(instant(ends_at))} UTC: {silence_row(made, 0)['matchers']}"
    )
    typer.echo(f"it holds back now: {len(held)}" + "".join(f"\n  {alert.summary}" for alert in held))
    typer.echo(f"end it early with: tokenworth alerts silences --expire {made.id}")


def silences(
    *,
    expire: Annotated[str, typer.Option("--expire", metavar="ID", help="End this one now.")] = "",
    json: AsJson = False,
) -> None:
    """Silences that are not over, of all tenants, the first to end first; or end one early."""
    from dataclasses import replace  # noqa: PLC0415

    from streams.store.silences import load_silences, silence_rows  # noqa: PLC0415 - keeps --help instant

    question, now_us = Question(""), _now_us()
    found = question.read(lambda stored: load_silences(stored, now_us))
    if expire:
        found = [one for one in found if one.id.startswith(expire)]
        if len(found) != 1:
            problem = f"{len(found)} silences begin with it" if found else "no silence that is not over begins with it"
            raise ConfigError("--expire", f"{expire!r}: {problem}", remedy="see: tokenworth alerts silences")
        (ended,) = found
        found = [replace(ended, ends_at=now_us)]
        question.write("alert_silences", silence_rows(found[0], now_us))
    rows = [silence_row(one, now_us) for one in found]
    if json:
        print_json(rows)
    else:
        print_silences(rows, "Ended" if expire else "")


def print_silences(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Silences as a table."""
    columns: list[Column] = [
        ("id", "id", text),
        ("state", "state", text),
        ("from", "starts_at", moment),
        ("until", "ends_at", moment),
        ("alerts", "matchers", text),
        ("by", "created_by", text),
        ("why", "comment", text),
    ]
    print_table(rows, columns, title=title, nothing="no silences")


def silence_row(found: Silence, now_us: int) -> dict[str, Any]:
    """A silence for people and machines."""
    state = "active" if found.active(now_us) else "planned" if now_us < found.starts_at else "over"
    return {
        "id": found.id,
        "state": state,
        "starts_at": instant(found.starts_at),
        "ends_at": instant(found.ends_at),
        "matchers": " ".join(map(str, found.matchers)),
        "created_at": instant(found.created_at),
        "created_by": found.created_by,
        "comment": found.comment,
    }


def acknowledgement_row(found: Acknowledgement) -> dict[str, Any]:
    """An acknowledgement for machines."""
    until = instant(found.until) if found.until else None
    return {"acked_at": instant(found.acked_at), "acked_by": found.acked_by, "comment": found.comment, "until": until}


def quiet_of(question: Question, now_us: int) -> Quiet:
    """What keeps notices back now. Its alerts: all that are to be told and not over."""
    from streams.deliver.configuration import load_calendars  # noqa: PLC0415 - keeps --help instant
    from streams.deliver.quiet import Quiet  # noqa: PLC0415
    from streams.detect.alert import alerts_from_rows  # noqa: PLC0415
    from streams.detect.calendar import Calendar  # noqa: PLC0415
    from streams.store.silences import load_acknowledgements, load_silences  # noqa: PLC0415

    found = question.read(lambda stored: load_silences(stored, now_us))
    told = question.read(lambda stored: alerts_from_rows(stored.read("alerts/told", since=now_us)))
    setting, calendars = load_settings().channels, tuple[Calendar, ...]()
    if setting:  # workers may read a channels file that is not here
        with suppress(ConfigError):
            calendars = load_calendars(Path(setting))
    return Quiet(found, question.read(load_acknowledgements), [alert for alert in told if alert.open], calendars)


def notices(alert: Alert, quiet: Quiet, now_us: int) -> str:
    """Why nobody is told of an alert now, or who has taken it on; empty for one that is told as usual."""
    if not alert.open:
        return ""
    if alert.fired_at and not alert.deliver:
        return "found in old data: not told"
    if muted := quiet.mute(alert, now_us):
        return muted
    taken = quiet.acknowledged(alert, now_us)
    if taken:
        return f"acknowledged by {taken.acked_by}: {taken.comment}"
    opens_at = quiet.sleeps_until(alert, now_us) if alert.fired_at else 0
    return f"waits for working hours until {moment(instant(opens_at))} UTC" if opens_at else ""


def episodes_of(question: Question, identity: str) -> list[Alert]:
    """The episodes of the one alert whose fingerprint begins so, the latest first. Raises ConfigError when there is none, or several."""
    from streams.detect.alert import alerts_from_rows  # noqa: PLC0415 - keeps --help instant

    tenant = question.tenant
    found = question.read(
        lambda stored: alerts_from_rows(stored.read("alerts/episodes", tenant=tenant, begin=identity.lower()))
    )
    if not found or not identity:
        raise ConfigError("ID", f"no alert begins with {identity!r}", remedy=_LIST)
    several = {alert.fingerprint: f"{alert.fingerprint} ({alert.team}: {alert.rule})" for alert in found}
    if len(several) > 1:
        raise ConfigError(
            "ID", f"{len(several)} alerts begin with {identity!r}", remedy=f"one of {', '.join(several.values())}"
        )
    return found


def micros(when: datetime) -> int:
    """Micro-seconds since 1970."""
    return round(when.timestamp() * 1e6)


def instant(at_us: int) -> datetime:
    """Of micro-seconds since 1970."""
    return datetime.fromtimestamp(at_us / 1e6, UTC)


_LIST = "see: tokenworth alerts list"


def _now_us() -> int:
    return int(time.time() * 1e6)


def _say_why(why: str) -> None:
    if not why.strip():
        raise ConfigError("--why", "is empty", remedy="say why, for those who are on call next")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise ConfigError(
            "--by", "this system does not know who you are", remedy="give a pseudonym: --by NAME"
        ) from None
