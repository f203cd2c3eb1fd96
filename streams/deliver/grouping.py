"""Several notices as one message, for channels that show messages one by one: what began or ended together, of one tenant and rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import xxhash

from streams.deliver.notice import Notice
from streams.detect.alert import fingerprint

_NEXT: Final = "See what fires: `tokenworth alerts --open`, and all about one of them: `tokenworth alerts show ID`."
_OVER: Final = "Nothing has to be done."


def grouped(notices: Sequence[Notice]) -> Notice:
    """One notice for all of these, which have event, tenant and rule in common; of one alone itself.

    Its id is the same for the same members, so a message that is tried again is the same message.
    """
    first, resolved = notices[0], notices[0].event == "resolved"
    if len(notices) == 1:
        return first
    common = {
        name: value for name, value in first.labels.items() if all(one.labels.get(name) == value for one in notices)
    }
    members = sorted(notices, key=lambda one: (one.starts_at, one.fingerprint))
    ids = json.dumps(sorted(one.id for one in notices)).encode()
    name = common.get("alertname", "alert").replace("_", " ")
    title = f"{name} is over in {len(notices)} teams" if resolved else f"{name} in {len(notices)} teams"
    shown = [(one.labels.get("team") or "no team", dict(one.facts).get("What", one.title)) for one in members]
    return Notice(
        event=first.event,
        fingerprint=fingerprint(common),
        id=f"{fingerprint(common)}.{xxhash.xxh64_hexdigest(ids)}",
        labels=common,
        title=f"[{'resolved' if resolved else first.kind}] {title}",
        facts=(*shown, ("Tenant", common.get("tenant", "")), ("Next", _OVER if resolved else _NEXT)),
        starts_at=min(one.starts_at for one in notices),
        ends_at=max(one.ends_at for one in notices),
        told_at=max(one.told_at for one in notices),
        members=tuple(members),
    )
