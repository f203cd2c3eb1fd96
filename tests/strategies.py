"""Events for tests: builders with plain defaults, and hypothesis strategies for small adversarial worlds.

A world is a handful of usage and work-item events that collide: few tenants, items, teams, tools and models, times on pane,
hour and day borders and around the 14- and 28-day limits, repeats, every kind and link in every order. Events are plain dicts
with exactly the fields of schemas/*.avsc, all of them acceptable; a repeat is an equal copy, so the order of events carries
no information.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from hypothesis import strategies as st

Event = dict[str, Any]

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
DAY_0 = 19_723
"""2024-01-01, as days since 1970."""


def at(day: int, hour: int = 12, minute: int = 0, us: int = 0) -> int:
    """Microseconds UTC of a moment, `day` days after 2024-01-01."""
    return (DAY_0 + day) * DAY_US + (hour * 60 + minute) * MINUTE_US + us


def usage_event(event_id: str, occurred_at: int, **changes: Any) -> Event:
    """One full-quality request of a minute's work: 1,000 tokens in, none out."""
    event: Event = {
        "event_id": event_id,
        "occurred_at": occurred_at,
        "tenant": "acme",
        "source": "gateway",
        "team": "pay",
        "actor": "a1",
        "tool": "cli",
        "provider": "p",
        "model": "large",
        "operation": "chat",
        "activity": "build",
        "work_item_id": None,
        "session_id": None,
        "prompt_fingerprint": None,
        "input_tokens": 1000,
        "cache_read_tokens": 0,
        "cache_write_5m_tokens": 0,
        "cache_write_1h_tokens": 0,
        "output_tokens": 0,
        "reasoning_tokens": 0,
        "requests": 1,
        "usage_quality": "full",
        "cost_micro_usd": None,
        "cost_basis": "billed",
        "status": "ok",
    }
    return _changed(event, changes)


def item_event(event_id: str, occurred_at: int, kind: str, **changes: Any) -> Event:
    """One step of item I-1; only the completion's usual fields are empty."""
    event: Event = {
        "event_id": event_id,
        "occurred_at": occurred_at,
        "tenant": "acme",
        "source": "tracker",
        "work_item_id": "I-1",
        "kind": kind,
        "team": "",
        "actor": None,
        "source_type": "issue",
        "item_type": "",
        "size_milli": None,
        "labels": [],
        "parent_id": None,
        "link_type": None,
        "link_value": None,
        "resolution": None,
    }
    return _changed(event, changes)


def _changed(event: Event, changes: Event) -> Event:
    unknown = changes.keys() - event.keys()
    if unknown:
        raise KeyError(f"no such field: {sorted(unknown)}")
    return event | changes


class World(NamedTuple):
    """Usage and work-item events in offset order, repeats included, and a watermark to look from."""

    usage: list[Event]
    items: list[Event]
    watermark: int


DAYS = (0, 0, 0, 1, 2, 14, 15, 16, 28, 29, 42)
MOMENTS = (0, 0, 1, 5 * MINUTE_US - 1, 5 * MINUTE_US, 60 * MINUTE_US, 12 * 60 * MINUTE_US, DAY_US - 1)
KINDS = (
    *("started", "completed", "completed", "reopened", "reclassified") * 2,
    *("canceled", "deleted", "moved", "sized"),
)
LINK_TYPES = (
    *("implements", "closes", "subtask_of") * 3,
    *("reverts", "caused_by", "duplicates", "commit", "branch", "session"),
)
TYPES = (
    "",
    "",
    "story",
    "story",
    "Bug",
    "tech-debt",
    "docs",
    "epic",
    "revert",
    "revert",
    "sev_1",
    "lint",
    "weird",
    "ÉPIC",
)
LABEL_LISTS: tuple[tuple[str, ...], ...] = (
    *((),) * 6,
    ("value:low",),
    ("value:core",),
    ("Value:Supporting", "security"),
    ("value:low", "value:core"),
    ("customer_request", "zzz"),
    ("dependabot", "story"),
)
SIZES = (None, None, None, 900, 3000, 5001, 999, 20_000, 1_000_000, 0, -5, 1_000_001)

AMOUNTS: tuple[Event, ...] = (
    {"input_tokens": 0},
    {"input_tokens": 1},
    {"input_tokens": 1999},
    {"input_tokens": 2000},
    {"input_tokens": 2000, "requests": 2},
    {"input_tokens": 2000, "requests": 3},
    {"input_tokens": 2000, "requests": 3},
    {"input_tokens": 3, "cache_read_tokens": 33, "output_tokens": 7, "reasoning_tokens": 5, "requests": 3},
    {"input_tokens": 0, "cache_write_5m_tokens": 11, "cache_write_1h_tokens": 1, "output_tokens": 1_000_000_000},
    {"input_tokens": 10_000, "cache_read_tokens": 900_000, "output_tokens": 2000, "requests": 1_000_000},
)
COSTS: tuple[Event, ...] = (
    {},
    {"cost_micro_usd": 0},
    {"cost_micro_usd": 1_234_567},
    {"cost_micro_usd": 77, "cost_basis": "list"},
    {"cost_micro_usd": 5, "cost_basis": "seat", "status": "error"},
)
PLACES: tuple[Event, ...] = (
    *({"work_item_id": "I-1"},) * 6,
    {"work_item_id": "I-2"},
    {"work_item_id": "never-named"},
    {"work_item_id": ""},
    {"session_id": "s-1", "prompt_fingerprint": "f"},
    {"activity": "review"},
    {"activity": "operate", "session_id": "s-1"},
    {"activity": "explore", "prompt_fingerprint": "f"},
    {"activity": "automation"},
)
TOOL_MODELS = (
    *(("cli", "large"), ("ide", "free"), ("cli", "small")) * 2,
    *(("ide", "large-latest"), ("é", "unlisted"), ("", ""), ("cli", "*")),
)


def _every(**choices: Sequence[Any]) -> st.SearchStrategy[Event]:
    """One of all combinations of some fields: a single draw, which is several times faster than one a field."""
    return st.sampled_from([dict(zip(choices, values, strict=True)) for values in product(*choices.values())])


_WHEN = _every(day=DAYS, moment=MOMENTS).map(lambda when: (DAY_0 + when["day"]) * DAY_US + when["moment"])
_TENANTS = ("acme", "acme", "acme", "zeta")

_USAGE = st.builds(
    lambda when, *changes: usage_event("", when, **{name: value for part in changes for name, value in part.items()}),
    _WHEN,
    st.sampled_from(AMOUNTS),
    st.sampled_from(COSTS),
    st.sampled_from(PLACES),
    _every(tenant=_TENANTS, team=("pay", "pay", "ads", ""), actor=("a1", "a2", "")),
    _every(usage_quality=("full", "full", "full", "partial", "unknown"), tool_model=TOOL_MODELS).map(
        lambda found: {
            "usage_quality": found["usage_quality"],
            "tool": found["tool_model"][0],
            "model": found["tool_model"][1],
        }
    ),
)

_LINKED = [
    {"kind": "linked", "link_type": link_type, "link_value": link_value}
    for link_type, link_value in product(LINK_TYPES, ("I-9", "I-9", "I-1", "I-2", None))
]

_ITEM = st.builds(
    lambda when, step, *changes: item_event(
        "", when, **{name: value for part in (step, *changes) for name, value in part.items()}
    ),
    _WHEN,
    st.one_of(_every(kind=KINDS), _every(kind=KINDS), _every(kind=KINDS), st.sampled_from(_LINKED)),
    _every(
        tenant=_TENANTS,
        work_item_id=("I-1", "I-1", "I-1", "I-2"),
        team=("", "", "pay", "ads", "big"),
        parent_id=(None, None, "E-1", "E-2"),
    ),
    _every(item_type=TYPES, size_milli=SIZES),
    st.sampled_from(LABEL_LISTS).map(lambda labels: {"labels": list(labels)}),
)


def _numbered(prefix: str, events: list[Event], spell: int) -> list[Event]:
    """Distinct event ids whose order is not the order of the events."""
    return [event | {"event_id": f"{prefix}{(index * 7 + spell) % 97:02d}"} for index, event in enumerate(events)]


def _of_one_item(event: Event) -> Event:
    """The event as if there were only one item, which usage without an item has nothing to do with."""
    return event | {"tenant": "acme"} | ({"work_item_id": "I-1"} if event["work_item_id"] else {})


@st.composite
def worlds(draw: st.DrawFn, max_usage: int = 8, max_items: int = 10) -> World:
    """A small adversarial world; see the module. Half of them are about one item only."""
    one_item, spell = draw(st.booleans()), draw(st.integers(0, 96))
    usage = _numbered("u", draw(st.lists(_USAGE, max_size=max_usage)), spell)
    items = _numbered("w", draw(st.lists(_ITEM, max_size=max_items)), spell)
    if one_item:
        usage, items = [_of_one_item(event) for event in usage], [_of_one_item(event) for event in items]
    for events in (usage, items):
        if events:
            events += [dict(event) for event in draw(st.lists(st.sampled_from(events), max_size=2))]
    last = max((event["occurred_at"] for event in (*usage, *items)), default=at(0))
    ahead = draw(st.sampled_from((0, 1, 10 * MINUTE_US, 14 * DAY_US, 28 * DAY_US, 28 * DAY_US + 1, 60 * DAY_US)))
    return World(usage, items, last + ahead)
