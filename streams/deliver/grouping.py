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
    return _notice(
        sorted(notices, key=_by_age),
        common,
        f"[{'resolved' if resolved else first.kind}] {title}",
        _OVER if resolved else _NEXT,
    )


def _digest(notices: Sequence[Notice]) -> Notice:
    """What fires before what is over; as many as somebody reads are shown, all are members."""
    labels = {name: notices[0].labels.get(name, "") for name in ("kind", "tenant")}
    members = sorted(notices, key=lambda one: (one.event == "resolved", *_by_age(one)))
    over = sum(one.event == "resolved" for one in members)
    counts = [f"{len(members) - over} to look at" if over < len(members) else "", f"{over} over" if over else ""]
    title = f"[digest] {labels['tenant']}: {', '.join(filter(None, counts))}"
    return _notice(members, labels, title, _OVER if over == len(members) else _NEXT_OF_DIGEST)


def _notice(members: Sequence[Notice], labels: Mapping[str, str], title: str, next_step: str) -> Notice:
    ids = json.dumps(sorted(one.id for one in members)).encode()
    shown = [
        (one.labels.get("team") or "no team", dict(one.facts).get("What", one.title)) for one in members[:TOGETHER]
    ]
    more = len(members) - len(shown)
    events = {one.event for one in members}
    return Notice(
        event="firing" if "firing" in events else members[0].event,
        fingerprint=fingerprint(labels),
        id=f"{fingerprint(labels)}.{xxhash.xxh64_hexdigest(ids)}",
        labels=labels,
        title=title,
        facts=(
            *shown,
            *([("And", f"{more} more")] if more else []),
            ("Tenant", labels.get("tenant", "")),
            ("Next", next_step),
        ),
        starts_at=min(one.starts_at for one in members),
        ends_at=0 if "firing" in events else max(one.ends_at for one in members),
        told_at=max(one.told_at for one in members),
        members=tuple(members),
    )


def _by_age(notice: Notice) -> tuple[int, str]:
    return notice.starts_at, notice.fingerprint
