"""UsageEvent: what a platform team publishes for each model request."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from streams.events.bounds import (
    ACTIVITIES,
    COST_BASES,
    MAX_COST_MICRO_USD,
    MAX_REQUESTS,
    MAX_TOKENS,
    TOKEN_FIELDS,
    USAGE_QUALITIES,
)
from streams.events.encode import encode
from streams.events.fields import check_actor, check_text, check_time, check_whole, check_word
from streams.events.keys import usage_key
from streams.events.schemas import shipped_id

_TEXTS: Final = ("source", "team", "tool", "provider", "model", "operation", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """One model request and its tokens. Raises ValueError or TypeError, naming the field, for a bad value.

    The five token buckets (input, cache read, two cache writes, output) are disjoint; reasoning_tokens are a part of
    output_tokens. Give the same event_id, work_item_id and session_id whenever the event is sent again. Prompts,
    answers, paths, names and addresses have no place here.
    """

    event_id: str
    """Unique per tenant; 1..256 bytes."""
    occurred_at: datetime
    """When the request ended; with a UTC offset."""
    tenant: str
    source: str = ""
    """The system that reports the event."""
    team: str = ""
    actor: str = ""
    """Pseudonym of who asked (streams.publish.Pseudonyms), or ''."""
    tool: str = ""
    provider: str = ""
    model: str = ""
    operation: str = ""
    activity: str = "build"
    """build, review, operate, explore or automation."""
    work_item_id: str | None = None
    session_id: str | None = None
    prompt_fingerprint: str | None = None
    input_tokens: int = 0
    """Input that was neither read from nor written to a cache."""
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 1
    """More than 1 when the source reports a whole run as one event."""
    usage_quality: str = "full"
    """full, partial or unknown: unknown tokens are not zero tokens."""
    cost_micro_usd: int | None = None
    """What the source reported; None when it reported none."""
    cost_basis: str = "billed"
    """billed, list, estimated or seat."""
    status: str = "ok"
    """ok; any other text is a failure."""

    def __post_init__(self) -> None:
        """Apply the bounds of streams.events.bounds."""
        check_text("event_id", self.event_id, 1)
        check_text("tenant", self.tenant, 1)
        check_time("occurred_at", self.occurred_at)
        for field in _TEXTS:
            check_text(field, getattr(self, field))
        check_actor("actor", self.actor)
        for field in ("work_item_id", "session_id", "prompt_fingerprint"):
            value = getattr(self, field)
            if value is not None:
                check_text(field, value, 1)
        for field in TOKEN_FIELDS:
            check_whole(field, getattr(self, field), 0, MAX_TOKENS)
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError(f"reasoning_tokens is {self.reasoning_tokens}, more than output_tokens")
        check_whole("requests", self.requests, 1, MAX_REQUESTS)
        if self.cost_micro_usd is not None:
            check_whole("cost_micro_usd", self.cost_micro_usd, 0, MAX_COST_MICRO_USD)
        check_word("activity", self.activity, ACTIVITIES)
        check_word("usage_quality", self.usage_quality, USAGE_QUALITIES)
        check_word("cost_basis", self.cost_basis, COST_BASES)

    @property
    def key(self) -> str:
        """The canonical key of its Kafka record."""
        return usage_key(self.tenant, self.event_id, self.work_item_id, self.session_id)

    def to_wire(self, schema_id: int | None = None) -> bytes:
        """The value of its Kafka record. `schema_id`: of the writer's schema in a registry; None: the id that ships."""
        fields = dict(zip(_NAMES, _VALUES(self), strict=True))
        return encode("usage_event", fields, shipped_id("usage_event") if schema_id is None else schema_id)


_NAMES: Final = tuple(field.name for field in dataclasses.fields(UsageEvent))
_VALUES: Final = attrgetter(*_NAMES)
