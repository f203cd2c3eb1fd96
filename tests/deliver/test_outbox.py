"""What is due, when it is tried again, and when a channel is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from streams.deliver.channel import ChannelPolicy, Delivered, Outcome, Refused, Retry
from streams.deliver.outbox import ASKED_S, LONGEST_S, ROUND, TRIPS, Breaker, Delivery, after, due, expected
from streams.detect.alert import Alert
from tests.deliver.made import T0, alert

SECOND = 1_000_000
FIRING, RESOLVED = alert(), alert("resolved")
outcomes = st.one_of(
    st.just(Delivered()),
    st.builds(Retry, st.just("away"), st.floats(0, 1e9)),
    st.builds(Refused, st.just("wrong key")),
)


def policy(name: str = "a", **options: Any) -> ChannelPolicy:
    return ChannelPolicy(name, "webhook", url=SecretStr("https://hooks.example"), **options)


def rows(*deliveries: Delivery) -> dict[Any, Delivery]:
    return {delivery.key: delivery for delivery in deliveries}


def firing(**changed: Any) -> Delivery:
    return replace(Delivery(FIRING.fingerprint, FIRING.started_at, "firing", "a"), **changed)


def told(found: Alert, stored: dict[Any, Delivery], now: int = T0) -> list[tuple[str, str]]:
    return [(one.delivery.event, one.alert.state) for one in due([found], stored, [policy()], now)]


def test_a_firing_alert_is_due_at_once_even_where_nobody_expected_it() -> None:
    assert told(FIRING, {}) == [("firing", "firing")]
    assert told(FIRING, rows(*expected([FIRING], [policy()], T0))) == [("firing", "firing")]


def test_a_resolved_one_is_due_after_its_firing_notice_only() -> None:
    assert told(RESOLVED, {}) == []
    assert told(RESOLVED, rows(firing())) == [("firing", "firing")]  # told as it was
    assert told(RESOLVED, rows(firing(due_at=T0 + 1))) == []
    assert told(RESOLVED, rows(firing(status="sent", sent_at=1))) == [("resolved", "resolved")]
    assert told(RESOLVED, rows(firing(status="due", sent_at=1, due_at=0))) == [("resolved", "resolved")]  # no reminder
    ended = replace(firing(status="sent", sent_at=1), event="resolved")
    assert told(RESOLVED, rows(firing(status="sent", sent_at=1), ended)) == []


def test_what_was_refused_has_no_end_to_tell() -> None:
    assert told(RESOLVED, rows(firing(status="failed", error="wrong key"))) == []


@pytest.mark.parametrize("state", ["firing", "resolved"])
def test_a_backfilled_alert_is_never_delivered(state: Any) -> None:
    old = replace(alert(state), deliver=False)
    assert expected([old], [policy()], T0) == []
    assert told(old, {}) == []
    assert told(old, rows(firing())) == []


@pytest.mark.parametrize("state", ["pending", "inactive"])
def test_what_never_fired_is_never_delivered(state: Any) -> None:
    found = replace(alert(), state=state, fired_at=0)
    assert expected([found], [policy()], T0) == []
    assert told(found, {}) == []


def test_reminders_come_after_the_interval_of_the_kind() -> None:
    for kind, seconds in (("page", 4 * 3600), ("ticket", 7 * 86_400)):
        found = replace(FIRING, kind=kind)
        sent = after(firing(), Delivered(), T0, 0.0, policy().repeat_s(kind))
        sent = replace(sent, fingerprint=found.fingerprint)
        assert told(found, rows(sent), T0 + seconds * SECOND - 1) == []
        assert told(found, rows(sent), T0 + seconds * SECOND) == [("firing", "firing")]


def test_a_refused_page_is_tried_again_as_a_reminder_while_it_fires() -> None:
    refused = after(firing(), Refused("wrong key"), T0, 0.0, 3600)
    assert (refused.status, refused.error) == ("failed", "wrong key")
    assert told(FIRING, rows(refused), T0 + 3599 * SECOND) == []
    assert told(FIRING, rows(refused), T0 + 3600 * SECOND) == [("firing", "firing")]


def test_channels_get_what_they_want_and_pages_come_first() -> None:
    ticket = replace(FIRING, rule="low_value_share", kind="ticket", fired_at=1)
    policies = [policy("all"), policy("pages", min_kind="page"), policy("others", teams=("ops",))]
    found = [(one.alert.kind, one.delivery.channel) for one in due([ticket, FIRING], {}, policies, T0)]
    assert found == [("page", "all"), ("page", "pages"), ("ticket", "all")]
    assert [row.channel for row in expected([ticket], policies, T0)] == ["all"]


def test_the_next_episode_waits_until_the_end_of_the_last_is_told() -> None:
    second = replace(FIRING, started_at=FIRING.started_at + 9, fired_at=FIRING.fired_at + 9)
    begun = rows(firing(status="sent", sent_at=1))
    assert [one.delivery.event for one in due([second, RESOLVED], begun, [policy()], T0)] == ["resolved"]
    ended = replace(firing(status="sent", sent_at=1), event="resolved")
    both = begun | rows(ended)
    assert [one.alert.started_at for one in due([second, RESOLVED], both, [policy()], T0)] == [second.started_at]


@given(st.lists(outcomes, max_size=30), st.floats(0, 0.999))
def test_attempts_count_up_and_pauses_are_bounded(story: list[Outcome], jitter: float) -> None:
    delivery, ids = firing(), set[str]()
    for number, outcome in enumerate(story):
        ids.add(delivery.message_id)
        done = after(delivery, outcome, T0, jitter, 60)
        assert done.attempts == number + 1
        assert done.key == delivery.key
        pause_s = (done.due_at - T0) / SECOND
        if isinstance(outcome, Retry):
            assert done.message_id == delivery.message_id
            assert done.sent_at == delivery.sent_at
            assert min(outcome.after_s, ASKED_S) - 1e-3 <= pause_s <= max(LONGEST_S, ASKED_S)
            assert pause_s >= 2.5
        else:
            assert pause_s == 60
        delivery = done
    assert len(ids) <= 1 + sum(isinstance(outcome, Delivered) for outcome in story)


def test_pauses_double_and_jitter_halves_them_at_most() -> None:
    found = []
    for failures in range(10):
        low, high = (after(firing(failures=failures), Retry("x"), 0, j, 1).due_at / SECOND for j in (0.0, 1.0))
        assert low == high / 2
        found.append(high)
    assert found == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_a_channel_that_fails_is_spared_then_probed_then_used() -> None:
    breaker, now = Breaker(), T0
    for _ in range(TRIPS - 1):
        assert breaker.room(now) == ROUND
        breaker = breaker.after(Retry("away"), now)
    breaker = breaker.after(Retry("away"), now)
    assert breaker.room(now + 5 * SECOND - 1) == 0
    assert breaker.room(now + 5 * SECOND) == 1
    breaker = breaker.after(Retry("away"), now)
    assert breaker.room(now + 10 * SECOND - 1) == 0
    assert breaker.after(Refused("no"), now) == breaker.after(Delivered(), now) == Breaker()
    for _ in range(50):
        breaker = breaker.after(Retry("away"), now)
    assert breaker.room(now + int(LONGEST_S) * SECOND) == 1


def test_retry_after_holds_the_whole_channel() -> None:
    breaker = Breaker().after(Retry("slow down", 30), T0)
    assert [breaker.room(T0 + seconds * SECOND) for seconds in (29, 30)] == [0, ROUND]
