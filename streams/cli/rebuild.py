"""`tokenworth rebuild`: results computed again from raw events, by the workers that own them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from streams.cli.output import AsJson, print_json
from streams.cli.progress import counting, say
from streams.cli.settings import load_settings
from streams.errors import SetupError

_POLL_S: Final = 0.5
_PATIENCE_S: Final = 60.0
"""A worker asks for requests every five seconds, and the group needs a few more to assign its partitions again."""


def rebuild(
    since: Annotated[
        datetime | None, typer.Option("--from", help="Event time from which on to rebuild, UTC; default: the begin.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", help="Event time up to which to rebuild, UTC; default: the end.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Show the progress until it is done; else return at once.")] = True,
    repartition: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="Instead, with publishers and workers stopped: move all events to topics with N partitions and a new database.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before topics are deleted.")] = False,
    json: AsJson = False,
) -> None:
    """Compute stored results again from the raw events, beside the live stream.

    For changed rules or prices of the past, or results that verify finds different. The running workers do it, each for its
    partitions; stopping in the middle does no harm, the next worker goes on. Running it again gives the same results.
    """
    if repartition is not None:
        if since or until or not wait:
            raise typer.BadParameter("moves everything, and at once", param_hint="--repartition")
        _repartition(repartition, yes=yes, json=json)
        return
    from streams.store.client import connect  # noqa: PLC0415 - keeps --help instant
    from streams.store.installation import stored_partitions  # noqa: PLC0415
    from streams.store.reading import ClickHouseStored  # noqa: PLC0415
    from streams.store.rebuilds import ALWAYS_US, Rebuild, write_rebuilds  # noqa: PLC0415
    from streams.store.sink import ClickHouseInserts, Sink  # noqa: PLC0415

    settings = load_settings()
    client = connect(settings.clickhouse)
    partitions = stored_partitions(client)
    if partitions is None:
        raise SetupError("there is nothing to rebuild", remedy="run: tokenworth init")
    from_us, to_us = _us(since, ALWAYS_US[0]), _us(until, ALWAYS_US[1])
    if from_us >= to_us:
        raise typer.BadParameter("the begin must lie before the end", param_hint="--from")
    requested_at = int(time.time() * 1e6)
    sink = Sink(ClickHouseInserts(client), "rebuild")
    write_rebuilds(sink, [Rebuild(p, requested_at, from_us, to_us) for p in range(partitions)])
    if not wait:
        say(f"requested for {partitions} partitions: running workers begin within seconds")
        return
    stored, began = ClickHouseStored(client), time.monotonic()

    def state() -> dict[str, Any]:
        rows = stored.read("rebuild/progress", requested_at=requested_at)
        begun, finished = (rows["epoch"] > 0).sum(), rows["finished"].sum()
        return {
            "partitions": partitions,
            "begun": begun,
            "finished": finished,
            "done": rows["done"].sum(),
            "total": rows["total"].sum(),
        }

    while not (found := state())["begun"]:
        if time.monotonic() - began > _PATIENCE_S:
            raise SetupError(
                "no worker has taken up the rebuild",
                remedy="start one: tokenworth worker; the request stays, a worker that starts later does it",
            )
        time.sleep(_POLL_S)
    while (found := state())["begun"] < partitions and time.monotonic() - began < _PATIENCE_S:
        time.sleep(_POLL_S)
    with counting("items and hours rebuilt", found["total"]) as progress:
        while (found := state())["finished"] < partitions:
            progress(found["done"])
            time.sleep(_POLL_S)
        progress(found["done"])
    if json:
        print_json(found | {"seconds": round(time.monotonic() - began, 1)})


def _repartition(partitions: int, *, yes: bool, json: bool) -> None:
    from streams.agents.repartition import move, plan  # noqa: PLC0415
    from streams.store.client import database_of  # noqa: PLC0415

    began = time.monotonic()
    chosen = plan(load_settings(), partitions)
    database = database_of(chosen.new.clickhouse)
    if chosen.resumed:
        say(f"going on with the move to {database}")
    elif not yes:
        say(
            f"The topics at {chosen.old.kafka} are deleted and made again with {partitions} partitions instead of {chosen.was};"
        )
        say(f"{chosen.rows:,} stored events are published to them, to be counted into database {database}.")
        say("Publishers must be stopped: what they send meanwhile may be lost.")
        typer.confirm("  Go on?", abort=True, err=True)
    with counting("events moved", chosen.rows) as progress:
        count = move(chosen, progress)
    if json:
        print_json({
            "events": count, "partitions": partitions, "database": database, "seconds": round(time.monotonic() - began, 1),
        })  # fmt: skip
    say(
        f"now set TOKENWORTH_PARTITIONS={partitions} and database {database} in TOKENWORTH_CLICKHOUSE, and start the workers;"
    )
    say(
        f"compare with `tokenworth verify`, then start the publishers. Database {database_of(chosen.old.clickhouse)} was left as it is."
    )


def _us(at: datetime | None, otherwise: int) -> int:
    return otherwise if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1e6)
