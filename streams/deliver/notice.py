"""One message about an alert, as every channel gets it: plain values, no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

CHART_FACT: Final = "History"
"""The fact that a picture of the chart says as well."""
_LEVELS: Final = "▁▂▃▄▅▆▇█"
Event = Literal["firing", "acknowledged", "resolved"]
"""`acknowledged` goes to channels that show it: see ChannelPolicy.acknowledges."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The alert's figure over time: what a sparkline or a small picture shows."""

    what: str
    """Such as: AI spend, last 24 hours."""
    values: tuple[int, ...]
    """Oldest first, not negative."""
    begun: int
    """The first of `values` that belongs to the episode; how many there are if none does."""
    level: int
    """From where on it alerts."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a channel sends. Times in micro-seconds since 1970.

    `fingerprint` is what the alert is about: a channel that shows one thing per key uses it as that key. `id` names this message: it is the
    same each time the message is tried, and another one when a person is reminded later.
    """

    event: Event
    fingerprint: str
    id: str
    labels: Mapping[str, str]
    title: str
    """One line."""
    facts: tuple[tuple[str, str], ...]
    """(what, text) in the order in which a person needs them; a text may have several lines."""
    starts_at: int
    ends_at: int
    """0 while firing."""
    told_at: int
    """When the message was made."""
    link: str = ""
    """Address of a dashboard; empty: none."""
    chart: Chart | None = None
    members: tuple[Notice, ...] = ()
    """Of a group its notices: see grouping.py."""

    @property
    def kind(self) -> str:
        """page, ticket or digest."""
        return self.labels.get("kind", "")

    @property
    def text(self) -> str:
        """The facts as plain text, one a line; one of several lines stands below its name. The link, if there is one, comes last."""
        facts = [*self.facts, *([("Dashboard", self.link)] if self.link else [])]
        return "\n".join(f"{what}:\n{text}" if "\n" in text else f"{what}: {text}" for what, text in facts)


def shortened(text: str, limit: int) -> str:
    """The text in at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def spark(values: Sequence[int]) -> str:
    """A row of bars from zero to the largest value."""
    top = max((*values, 1))
    return "".join(_LEVELS[max(entry, 0) * (len(_LEVELS) - 1) // top] for entry in values)
