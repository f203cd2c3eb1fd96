"""Several notices as one message: what it says, and that each receiver takes it."""

from __future__ import annotations

import pytest

from streams.deliver.channel import ChannelKind, Delivered
from streams.deliver.grouping import grouped
from streams.deliver.messages import notice
from streams.deliver.notice import Event, Notice
from streams.deliver.outbox import TOGETHER, Delivery, Due, messages
from streams.detect.alert import State
from tests.deliver.formats import CHECKS
from tests.deliver.made import T0, alert, channel
from tests.deliver.servers import receiving


def three(state: State = "firing") -> list[Notice]:
    return [
        notice(alert(state, team=team, started_at=T0 - at), f"id-{team}", T0)
        for team, at in (("ads", 8), ("", 9), ("web", 7))
    ]


@pytest.mark.parametrize("event", ["firing", "resolved"])
@pytest.mark.parametrize("kind", ["webhook", "signed", "slack"])
def test_each_receiver_takes_a_group(kind: ChannelKind, event: Event) -> None:
    state: State = "firing" if event == "firing" else "resolved"
    with receiving() as receiver:
        assert channel(kind, f"{receiver.url}/in").send(grouped(three(state))) == Delivered()
    (request,) = receiver.requests
    CHECKS[kind](request, event)
    found = request.json
    if kind == "slack":
        for text in ("*ads*  search spent $1,490", "*no team*") if event == "firing" else ("is over in 3 teams",):
            assert text in str(found)
    else:
        alerts = found["alerts"] if kind == "webhook" else found["data"]["alerts"]
        assert [one["labels"]["team"] for one in alerts] == ["", "ads", "web"]
        assert len({one["fingerprint"] for one in alerts}) == 3
    if kind == "webhook":
        assert found["groupKey"] == '{}:{tenant="acme", alertname="spend_runaway"}'
        assert found["groupLabels"] == {"tenant": "acme", "alertname": "spend_runaway"}


def test_one_alone_is_no_group_and_members_alone_decide_its_id() -> None:
    first, *others = three()
    assert grouped([first]) is first
    assert grouped(three()).id == grouped([*others, first]).id != grouped(others).id
    assert grouped(three()).title == "[page] spend runaway in 3 teams"
    assert grouped(three("resolved")).title == "[resolved] spend runaway is over in 3 teams"
    assert "team" not in grouped(three()).labels


@pytest.mark.parametrize(
    ("kind", "sizes"), [("slack", [2, 1, 1, 1]), ("pagerduty", [1] * 5), ("alertmanager", [1] * 5)]
)
def test_a_message_is_of_one_tenant_rule_and_event(kind: ChannelKind, sizes: list[int]) -> None:
    alerts = [
        alert(team="a"),
        alert(rule="feed_silent"),
        alert(team="b"),
        alert(tenant="other"),
        alert("resolved", team="c"),
    ]
    dues = [
        Due(one, Delivery(one.fingerprint, 0, "resolved" if one.state == "resolved" else "firing", "x"))
        for one in alerts
    ]
    made = messages(dues, channel(kind, "https://x.example").policy)
    assert [len(message) for message in made] == sizes
    assert made[0][0] == dues[0]
    many = [
        Due(one, Delivery(one.fingerprint, 0, "firing", "x"))
        for one in (alert(team=f"t{n}") for n in range(TOGETHER + 1))
    ]
    if kind == "slack":
        assert [len(message) for message in messages(many, channel(kind, "https://x.example").policy)] == [TOGETHER, 1]
