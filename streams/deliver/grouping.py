"""Several notices as one message, for channels that show messages one by one: what began or ended together, of one tenant and rule, and the digest
of a tenant's day."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import xxhash

from streams.deliver.notice import Notice
from streams.deliver.outbox import TOGETHER
from streams.detect.alert import fingerprint

_NEXT: Final = "See what fires: `tokenworth alerts --open`, and all about one of them: `tokenworth alerts show ID`."
_NEXT_OF_DIGEST: Final = "Nothing is urgent. See what fires: `tokenworth alerts --open`, and all about one of them: `tokenworth alerts show ID`."
_OVER: Final = "Nothing has to be done."


def grouped(notices: Sequence[Notice]) -> Notice:
    """One notice for all of these, which have event, tenant and rule in common, or are a tenant's digest; of one alone itself.

    Its id is the same for the same members, so a message that is tried again is the same message.
    """
    if len(notices) == 1:
        return notices[0]
    return _digest(notices) if notices[0].kind == "digest" else _group(notices)


def _group(notices: Sequence[Notice]) -> Notice:
    first, resolved = notices[0], notices[0].event == "resolved"
    common = {
        name: value for name, value in first.labels.items() if all(one.labels.get(name) == value for one in notices)
    }
    name = common.get("alertname", "alert").replace("_", " ")
    title = f"{name} is over in {len(notices)} teams" if resolved else f"{name} in {len(notices)} teams"
    members = sorted(notices, key=_by_age)
    title = f"[{'resolved' if resolved else first.kind}] {title}"
    return _notice(members, common, title, [_shown(one) for one in members], _OVER if resolved else _NEXT)


def _digest(notices: Sequence[Notice]) -> Notice:
    """What fires before what is over; as many as somebody reads are shown, all are members. What began and ended since the last one is one line."""
    labels = {name: notices[0].labels.get(name, "") for name in ("kind", "tenant")}
    members = sorted(notices, key=lambda one: (one.event == "resolved", *_by_age(one)))
    episodes: dict[tuple[int, str], list[Notice]] = {}
    for one in members:
        episodes.setdefault(_by_age(one), []).append(one)
    fires = [_shown(first) for first, *ended in episodes.values() if not ended and first.event != "resolved"]
    over = [
        _shown(first, " (over)" if ended else "")
        for first, *ended in episodes.values()
        if ended or first.event == "resolved"
    ]
    counts = [f"{len(fires)} to look at" if fires else "", f"{len(over)} over" if over else ""]
    title = f"[digest] {labels['tenant']}: {', '.join(filter(None, counts))}"
    return _notice(members, labels, title, [*fires, *over], _NEXT_OF_DIGEST if fires else _OVER)


def _notice(
    members: Sequence[Notice], labels: Mapping[str, str], title: str, facts: Sequence[tuple[str, str]], next_step: str
) -> Notice:
    ids = json.dumps(sorted(one.id for one in members)).encode()
    more = [("And", f"{len(facts) - TOGETHER} more")] if len(facts) > TOGETHER else []
    ended = {_by_age(one) for one in members if one.event == "resolved"}
    fires = any(_by_age(one) not in ended for one in members)
    return Notice(
        event=members[0].event if fires else "resolved",
        fingerprint=fingerprint(labels),
        id=f"{fingerprint(labels)}.{xxhash.xxh64_hexdigest(ids)}",
        labels=labels,
        title=title,
        facts=(*facts[:TOGETHER], *more, ("Tenant", labels.get("tenant", "")), ("Next", next_step)),
        starts_at=min(one.starts_at for one in members),
        ends_at=0 if fires else max(one.ends_at for one in members),
        told_at=max(one.told_at for one in members),
        members=tuple(members),
    )


def _shown(notice: Notice, ending: str = "") -> tuple[str, str]:
    """The team and what is said of it."""
    team = notice.labels.get("team", "")
    return team or "no team", dict(notice.facts).get("What", notice.title).removeprefix(f"{team} ") + ending


def _by_age(notice: Notice) -> tuple[int, str]:
    return notice.starts_at, notice.fingerprint
