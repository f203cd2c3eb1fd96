"""Digests: one message a tenant and working day, with all that began or ended since the last one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.agents.delivery import Deliverer
from streams.deliver.channel import ChannelKind, Delivered, Retry
from streams.deliver.grouping import grouped
from streams.deliver.messages import notice
from streams.deliver.outbox import TOGETHER, Delivery, Due, after, due, expected, messages
from streams.deliver.quiet import Quiet
from streams.detect.alert import Alert, alert_rows
from streams.detect.calendar import Calendar
from tests.deliver.made import alert, channel
from tests.deliver.servers import receiving
from tests.deliver.test_crashes import Around, Receiver, World

HOUR, DAY = 3_600_000_000, 86_400_000_000
MONDAY = int(datetime(2026, 2, 2, tzinfo=UTC).timestamp() * 1e6)
OPEN = MONDAY + 9 * HOUR
QUIET = Quiet(calendars=[Calendar()])


def digest(team: str, fired_at: int = MONDAY, ended_at: int = 0, **changed: Any) -> Alert:
    """As the probe `reopened` finds it."""
    times: dict[str, Any] = {"started_at": fired_at, "fired_at": fired_at, "window_end": ended_at or fired_at}
    ended: dict[str, Any] = (
        {"state": "resolved", "resolved_at": ended_at, "clear_since": ended_at - DAY} if ended_at else {}
    )
    summary = f"{team} reopened 12 of 60 items in 28 days, 20 %, 5 % in the 28 days before; so since then"
    return replace(
        alert(rule="reopened", kind="digest", team=team, size="28d", summary=summary, **times), **ended, **changed
    )


def policy(kind: ChannelKind = "slack") -> Any:
    return channel(kind, "https://x.example").policy


def sent(found: list[Alert], stored: dict[Any, Delivery], now: int, kind: ChannelKind = "slack") -> list[list[str]]:
    """Teams and events of each message that goes out, which is noted as sent."""
    made = messages(due(found, stored, [policy(kind)], now, QUIET), policy(kind))
    for one in (one for message in made for one in message):
        stored[one.delivery.key] = after(one.delivery, Delivered(), now, 0.0, policy(kind).repeat_s("digest"))
    return [sorted(f"{one.alert.team} {one.delivery.event}" for one in message) for message in made]


def waiting(found: list[Alert]) -> dict[Any, Delivery]:
    """The rows that are written before these alerts are."""
    return {row.key: row for one in found for row in expected([one], [policy()], one.fired_at)}


def test_what_came_in_the_night_is_one_message_a_tenant_when_the_day_begins() -> None:
    found = [digest("ads"), digest("web", rule="stalled"), digest("ads", tenant="other")]
    stored: dict[Any, Delivery] = {}
    assert sent(found, stored, OPEN - 1) == []
    assert sorted(sent(found, stored, OPEN)) == [["ads firing"], ["ads firing", "web firing"]]
    assert sent(found, stored, OPEN + 5_000_000) == []


def test_what_comes_later_waits_for_the_next_working_day() -> None:
    stored: dict[Any, Delivery] = {}
    friday = OPEN + 4 * DAY
    assert sent([digest("ads", friday - HOUR)], stored, friday) == [["ads firing"]]
    later = [digest("ads", friday - HOUR, friday + HOUR), digest("web", friday + HOUR)]
    for hour in range(72):
        assert sent(later, stored, friday + hour * HOUR) == []
    assert sent(later, stored, friday + 3 * DAY) == [["ads resolved", "web firing"]]


def test_an_episode_that_was_over_before_it_was_told_is_in_one_message() -> None:
    stored = waiting([digest("ads", MONDAY - 2 * DAY)])
    over = [digest("ads", MONDAY - 2 * DAY, MONDAY)]
    assert sent(over, stored, OPEN) == [["ads firing", "ads resolved"]]
    assert sent(over, stored, OPEN + DAY) == []


def test_one_that_ends_after_the_day_began_is_over_the_next_day() -> None:
    stored = waiting([digest("ads", OPEN - HOUR)])
    over = [digest("ads", OPEN - HOUR, OPEN + HOUR)]
    assert sent(over, stored, OPEN + 2 * HOUR) == [["ads firing"]]
    assert sent(over, stored, OPEN + 3 * HOUR) == []
    assert sent(over, stored, OPEN + DAY) == [["ads resolved"]]


def test_a_new_channel_hears_at_once_and_a_worker_that_was_away_catches_up() -> None:
    assert sent([digest("ads"), digest("web")], {}, OPEN + 5 * HOUR) == [["ads firing", "web firing"]]


@pytest.mark.parametrize("kind", ["pagerduty", "alertmanager"])
def test_where_each_alert_has_a_key_it_comes_by_itself(kind: ChannelKind) -> None:
    found = [digest("ads"), digest("web")]
    assert sorted(sent(found, {}, OPEN + HOUR, kind)) == [["ads firing"], ["web firing"]]
    assert (sent(found, {}, OPEN - HOUR, kind) != []) == (kind == "alertmanager")  # which has times of its own


def test_a_digest_that_failed_is_tried_again_as_a_whole() -> None:
    stored: dict[Any, Delivery] = {}
    first = digest("ads")
    (one,) = due([first], stored, [policy()], OPEN, QUIET)
    stored[one.delivery.key] = after(one.delivery, Retry("away", 600), OPEN, 0.0, 1)
    both = [first, digest("web", MONDAY + 1)]
    assert sent(both, stored, OPEN + 60_000_000) == []
    assert sent(both, stored, OPEN + 600_000_000) == [["ads firing", "web firing"]]


@pytest.mark.parametrize("seed", range(6))
def test_never_two_in_a_day_and_all_is_told(seed: int) -> None:
    rng, alerts = random.Random(seed), []
    for number in range(30):
        fired = MONDAY + rng.randrange(14 * 24) * HOUR
        alerts.append(digest(f"t{number}", fired, fired + rng.randrange(1, 100) * HOUR, tenant=rng.choice(("a", "b"))))
    stored = waiting([digest(one.team, one.fired_at, tenant=one.tenant) for one in alerts])
    told: list[tuple[str, int]] = []
    events: Counter[str] = Counter()
    for now in range(MONDAY, MONDAY + 26 * DAY, HOUR):
        known = [one if one.resolved_at <= now else digest(one.team, one.fired_at, tenant=one.tenant) for one in alerts if one.fired_at <= now]  # fmt: skip
        for message in messages(due(known, stored, [policy()], now, QUIET), policy()):
            assert Calendar().opens_at(now) == now
            outcome = rng.choice((Delivered(), Retry("away"), Retry("busy", 900)))
            if isinstance(outcome, Delivered):
                told.append((message[0].alert.tenant, now // DAY))
                events.update(one.delivery.event for one in message)
            for one in message:
                stored[one.delivery.key] = after(one.delivery, outcome, now, rng.random(), 7 * 86_400)
    assert max(Counter(told).values()) == 1
    assert events["firing"] >= events["resolved"] == 30


def test_the_deliverer_sends_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(frozenset(), now=OPEN)
    world.rows("alerts", alert_rows([digest("ads"), digest("web", rule="stalled"), alert(team="page")]))
    deliverer = Deliverer(
        Around(world),  # type: ignore[arg-type]
        {"a": Receiver("a", world)},
        lambda: (1, frozenset({0})),
        (Calendar(),),
    )
    for _ in range(3):
        asyncio.run(deliverer.round())
    assert [(one.kind, len(one.members)) for one in world.messages] == [("page", 0), ("digest", 2)]


MIXED = [
    notice(digest("ads"), "1", OPEN),
    notice(digest("web", MONDAY - 9 * DAY, MONDAY), "2", OPEN),
    notice(digest("ops", rule="stalled"), "3", OPEN),
]


@pytest.mark.parametrize("kind", ["webhook", "signed", "slack"])
def test_receivers_see_what_fires_and_what_is_over(kind: ChannelKind) -> None:
    with receiving() as receiver:
        assert channel(kind, f"{receiver.url}/in").send(grouped(MIXED)) == Delivered()
    (request,) = receiver.requests
    found = request.json
    match kind:
        case "webhook":
            assert found["status"] == "firing"
            assert found["groupKey"] == '{}:{tenant="acme", kind="digest"}'
            told = sorted((one["labels"]["team"], one["status"]) for one in found["alerts"])
            assert told == [("ads", "firing"), ("ops", "firing"), ("web", "resolved")]
            assert all(found["commonLabels"].items() <= one["labels"].items() for one in found["alerts"])
        case "signed":
            assert found["type"] == "alert.firing"
            over = {one["labels"]["team"] for one in found["data"]["alerts"] if one["ends_at"]}
            assert over == {"web"}
        case _:
            text = str(found)
            assert "[digest] acme: 2 to look at, 1 over" in text
            assert "*ads*  reopened 12 of 60 items" in text
            assert "*web*  no longer so: web reopened" in text


def test_a_long_digest_shows_as_many_as_somebody_reads() -> None:
    many = grouped([notice(digest(f"t{n:02}"), str(n), OPEN) for n in range(TOGETHER + 5)])
    assert len(many.members) == TOGETHER + 5
    assert dict(many.facts)["And"] == "5 more"
    assert len(many.facts) == TOGETHER + 3
    dues = [Due(digest(f"t{n}"), Delivery(str(n), 0, "firing", "x")) for n in range(TOGETHER + 5)]
    assert [len(message) for message in messages(dues, policy())] == [TOGETHER + 5]


def test_what_began_and_ended_since_the_last_one_is_one_line() -> None:
    both = [
        notice(replace(digest("ads"), state="firing"), "1", OPEN),
        notice(digest("ads", MONDAY, MONDAY + HOUR), "2", OPEN),
    ]
    told = grouped(both)
    assert (told.title, told.event, told.ends_at) == ("[digest] acme: 1 over", "resolved", MONDAY + HOUR)
    assert [fact for fact in told.facts if fact[0] == "ads"] == [
        ("ads", "reopened 12 of 60 items in 28 days, 20 %, 5 % in the 28 days before (over)")
    ]
    assert [one.event for one in told.members] == ["firing", "resolved"]


def test_one_that_is_over_alone_says_so() -> None:
    over = grouped([notice(digest(team, MONDAY - DAY, MONDAY), team, OPEN) for team in ("ads", "web")])
    assert (over.event, over.title, over.ends_at) == ("resolved", "[digest] acme: 2 over", MONDAY)
