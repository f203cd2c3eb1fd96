"""What is kept back, for how long, and what becomes of it then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from streams.deliver.channel import ChannelKind, ChannelPolicy
from streams.deliver.messages import notice
from streams.deliver.outbox import Delivery, dropped, due
from streams.deliver.pagerduty import PagerDuty
from streams.deliver.quiet import NOTHING, Quiet
from streams.detect.alert import Alert
from streams.detect.calendar import Calendar
from streams.detect.silences import Acknowledgement, Silence, matchers_of
from tests.deliver.made import T0, alert, channel

MINUTE, DAY = 60_000_000, 86_400_000_000
FIRING, RESOLVED = alert(), alert("resolved")
SENT = Delivery(FIRING.fingerprint, FIRING.started_at, "firing", "a", "sent", 1, 0, T0, T0)
WAITING = replace(SENT, status="due", sent_at=0, attempts=0, due_at=T0 - 9 * MINUTE)


def silence(begin: int = T0 - 30 * MINUTE, end: int = T0 + 30 * MINUTE) -> Silence:
    return Silence("s", matchers_of(["team=search"]), begin, end, begin, "ann", "load test")


def told(
    found: Alert | list[Alert], quiet: Quiet, *rows: Delivery, now: int = T0, kind: ChannelKind = "webhook"
) -> list[tuple[str, str]]:
    """(rule, event) of what is sent, after what is dropped."""
    alerts = found if isinstance(found, list) else [found]
    policy = ChannelPolicy("a", kind, url=SecretStr("https://x.example"), secret=SecretStr("x" * 32))
    stored = {row.key: row for row in rows}
    stored |= {row.key: row for row in dropped(alerts, stored, [policy], now, quiet)}
    return [(one.alert.rule, one.delivery.event) for one in due(alerts, stored, [policy], now, quiet)]


FIRES, ENDS = [("spend_runaway", "firing")], [("spend_runaway", "resolved")]


def test_a_silenced_alert_is_told_when_the_silence_ends_if_it_still_fires() -> None:
    quiet = Quiet([silence()])
    assert told(FIRING, quiet, WAITING) == told(FIRING, quiet) == []
    assert told(FIRING, quiet, WAITING, now=T0 + 30 * MINUTE) == FIRES
    assert told(replace(FIRING, team="ads"), quiet) == FIRES
    assert quiet.mute(FIRING, T0) == "silenced until 2026-01-31 14:35 UTC by ann: load test"


def test_what_was_over_before_its_silence_stays_untold() -> None:
    assert told(RESOLVED, Quiet([silence()]), WAITING) == []
    assert told(RESOLVED, Quiet([silence(end=T0)]), WAITING) == FIRES  # it still fired when the silence ended


@pytest.mark.parametrize(
    ("quiet", "row", "now"),
    [
        (silence(), replace(WAITING, attempts=1, failures=1, error="timed out"), T0),
        (silence(begin=T0 - 8 * MINUTE), WAITING, T0),
        (replace(silence(), created_at=T0 - 8 * MINUTE), WAITING, T0),
        (silence(), WAITING, T0 + DAY),  # nobody noted its end while the silence lasted
    ],
)
def test_what_may_have_been_told_before_its_silence_is_told_to_be_over(quiet: Silence, row: Delivery, now: int) -> None:
    """A worker may have died after it sent the notice and before it noted so: an incident would stay open."""
    assert told(RESOLVED, Quiet([quiet]), row, now=now) == ENDS


def test_what_is_dropped_stays_dropped_when_the_silence_is_forgotten() -> None:
    policy = ChannelPolicy("a", "webhook", url=SecretStr("https://x.example"))
    (row,) = dropped([RESOLVED], {WAITING.key: WAITING}, [policy], T0, Quiet([silence()]))
    assert (row.status, row.error, row.attempts) == ("dropped", "over before its silence", 0)
    assert told(RESOLVED, Quiet(), row) == []


def test_the_end_of_what_was_told_is_told_under_a_silence_but_no_reminder_is() -> None:
    quiet = Quiet([silence(end=T0 + DAY)])
    assert told(FIRING, quiet, SENT, now=T0 + 5 * 60 * MINUTE) == []
    assert told(FIRING, Quiet(), SENT, now=T0 + 5 * 60 * MINUTE) == FIRES
    assert told(RESOLVED, quiet, SENT) == ENDS


def test_alertmanager_is_refreshed_or_it_would_say_that_the_alert_is_over() -> None:
    quiet = Quiet([silence()], {(FIRING.fingerprint, FIRING.started_at): ACK})
    assert told(FIRING, quiet, WAITING, kind="alertmanager") == []
    assert told(FIRING, quiet, SENT, kind="alertmanager") == FIRES


ACK = Acknowledgement(FIRING.fingerprint, FIRING.started_at, T0, "ann", "on it")
TAKEN = Quiet(acknowledgements={(ACK.fingerprint, ACK.started_at): ACK})


def test_an_acknowledged_alert_is_not_reminded_of_but_its_end_is_told() -> None:
    later = T0 + 5 * 60 * MINUTE
    assert told(FIRING, TAKEN, SENT, now=later) == []
    assert told(FIRING, TAKEN, WAITING) == FIRES  # a channel that has not heard of it yet
    assert told(RESOLVED, TAKEN, SENT) == ENDS
    assert told(replace(FIRING, started_at=FIRING.started_at + 1), TAKEN) == FIRES  # the next episode
    for_an_hour = Quiet(acknowledgements={(ACK.fingerprint, ACK.started_at): replace(ACK, until=T0 + 60 * MINUTE)})
    assert told(FIRING, for_an_hour, SENT, now=later) == FIRES


def test_pagerduty_shows_that_somebody_has_taken_it_on() -> None:
    assert told(FIRING, TAKEN, WAITING, kind="pagerduty") == FIRES
    assert told(FIRING, TAKEN, SENT, kind="pagerduty") == [("spend_runaway", "acknowledged")]
    shown = replace(SENT, event="acknowledged")
    assert told(FIRING, TAKEN, SENT, shown, now=T0 + DAY, kind="pagerduty") == []
    assert told(RESOLVED, TAKEN, SENT, shown, kind="pagerduty") == ENDS
    pager = channel("pagerduty", "https://x.example")
    assert isinstance(pager, PagerDuty)
    body = pager.body(replace(notice(FIRING, "x", T0), event="acknowledged"))
    assert (body["event_action"], body["dedup_key"]) == ("acknowledge", FIRING.fingerprint)


SILENT = alert(rule="feed_silent", unit="milli_requests")


@pytest.mark.parametrize(
    ("why", "source", "target", "held"),
    [
        ("the team's feed is dead", {}, {}, True),
        ("another team's", {"team": "ads"}, {}, False),
        ("another tenant's", {"tenant": "other"}, {}, False),
        ("the whole tenant's, and it can wait", {"team": ""}, {"kind": "ticket"}, True),
        ("a page of a team that sends", {"team": ""}, {}, False),
        ("it is over", {"state": "resolved", "resolved_at": T0 - 1}, {}, False),
        ("it is only pending", {"state": "pending", "fired_at": 0}, {}, False),
        ("it was found in old data", {"deliver": False}, {}, False),
        ("a page says the same", {"rule": "spend_runaway"}, {"rule": "repeated_prompts", "kind": "ticket"}, True),
        ("a page says something else", {"rule": "spend_runaway"}, {"rule": "low_value_share", "kind": "ticket"}, False),
        ("a ticket never holds back a page", {"rule": "repeated_prompts"}, {}, False),
    ],
)
def test_an_alert_is_not_told_while_another_explains_it(
    why: str, source: dict[str, Any], target: dict[str, Any], held: bool
) -> None:
    about, explains = replace(FIRING, **target), replace(SILENT, **source)
    quiet = Quiet(alerts=[about, explains])
    assert (quiet.mute(about, T0) == f"inhibited by {explains.rule}") == held, why
    assert ((about.rule, "firing") in told([about, explains], quiet)) == (not held), why


def test_what_outlasts_a_dead_feed_is_told_and_what_does_not_is_not() -> None:
    back = replace(SILENT, state="resolved", resolved_at=T0, window_end=T0)
    heard = replace(WAITING, fingerprint=SILENT.fingerprint, status="sent", sent_at=1)
    found = told([FIRING, back], Quiet(alerts=[back, FIRING]), WAITING, heard)
    assert sorted(found) == [("feed_silent", "resolved"), *FIRES]
    over = replace(RESOLVED, resolved_at=T0)
    assert told([over], Quiet(alerts=[back, over]), WAITING) == []
    later = replace(RESOLVED, resolved_at=T0 + 1)
    assert told([later], Quiet(alerts=[back, later]), WAITING) == FIRES


def test_tickets_wait_for_working_hours_and_pages_do_not() -> None:
    quiet, monday = (
        Quiet(calendars=[Calendar()]),
        T0 + 2 * DAY - 5 * 60 * MINUTE - 5 * MINUTE,
    )  # T0 is a Saturday, 14:05
    ticket, over = (replace(one, kind="ticket") for one in (FIRING, RESOLVED))
    heard = replace(SENT, fingerprint=ticket.fingerprint)
    assert told(FIRING, quiet) == FIRES
    assert told(ticket, quiet) == told(over, quiet, heard) == []
    assert quiet.sleeps_until(ticket, T0) == monday
    assert told(ticket, quiet, now=monday) == FIRES
    assert told(over, quiet, heard, now=monday) == ENDS
    assert told(ticket, quiet, kind="alertmanager") == FIRES  # it has times of its own


def test_an_alert_without_data_is_neither_over_nor_reminded_of() -> None:
    gone, later = replace(FIRING, state="no_data"), T0 + DAY
    assert told(gone, NOTHING, SENT, now=later) == []
    assert told(gone, NOTHING, WAITING) == FIRES
    assert told(gone, NOTHING, SENT, now=later, kind="alertmanager") == FIRES
