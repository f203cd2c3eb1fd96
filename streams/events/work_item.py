"""WorkItemEvent: what a platform team publishes for each step of a ticket, pull request or task."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from streams.events.bounds import KINDS, LINK_TYPES, MAX_LABEL_BYTES, MAX_LABELS, MAX_SIZE_MILLI
from streams.events.encode import encode
from streams.events.fields import check_actor, check_text, check_time, check_whole, check_word
from streams.events.keys import work_item_key
from streams.events.schemas import shipped_id

_TEXTS: Final = ("source", "team", "source_type", "item_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItemEvent:
    """One step in the life of a work item. Raises ValueError or TypeError, naming the field, for a bad value.

    Give the same event_id whenever the event is sent again; suffix it where one delivery becomes several events.
    Titles, names and addresses have no place here.
    """

    event_id: str
    """Unique per tenant; 1..256 bytes."""
    occurred_at: datetime
    """When the step happened at its source; with a UTC offset."""
    tenant: str
    work_item_id: str
    kind: str
    """started, completed, reopened, canceled, sized, linked, reclassified, deleted or moved."""
    source: str = ""
    """The system that reports the event."""
    team: str = ""
    actor: str | None = None
    """Pseudonym of who did it (streams.publish.Pseudonyms), or None."""
    source_type: str = ""
    """The source's own word for the item."""
    item_type: str = ""
    """What the value rules match, such as story or bug."""
    size_milli: int | None = None
    """Size in thousandths of a point, 1..1,000,000."""
    labels: tuple[str, ...] = ()
    parent_id: str | None = None
    link_type: str | None = None
    """implements, closes, subtask_of, reverts, caused_by, duplicates, commit, branch or session."""
    link_value: str | None = None
    resolution: str | None = None

    def __post_init__(self) -> None:
        """Apply the bounds of streams.events.bounds."""
        check_text("event_id", self.event_id, 1)
        check_text("tenant", self.tenant, 1)
        check_text("work_item_id", self.work_item_id, 1)
        check_time("occurred_at", self.occurred_at)
        check_word("kind", self.kind, KINDS)
        for field in _TEXTS:
            check_text(field, getattr(self, field))
        if self.actor is not None:
            check_actor("actor", self.actor)
        if self.size_milli is not None:
            check_whole("size_milli", self.size_milli, 1, MAX_SIZE_MILLI)
        if not isinstance(self.labels, tuple):
            raise TypeError(f"labels must be a tuple of strings, not {type(self.labels).__name__}")
        if len(self.labels) > MAX_LABELS:
            raise ValueError(f"{len(self.labels)} labels, allowed are {MAX_LABELS}")
        for label in self.labels:
            check_text("a label", label, high=MAX_LABEL_BYTES)
        for field in ("parent_id", "link_value"):
            value = getattr(self, field)
            if value is not None:
                check_text(field, value, 1)
        if self.link_type is not None:
            check_word("link_type", self.link_type, LINK_TYPES)
        if self.resolution is not None:
            check_text("resolution", self.resolution)

    @property
    def key(self) -> str:
        """The canonical key of its Kafka record."""
        return work_item_key(self.tenant, self.work_item_id)

    def to_wire(self, schema_id: int | None = None) -> bytes:
        """The value of its Kafka record. `schema_id`: of the writer's schema in a registry; None: the id that ships."""
        fields = dict(zip(_NAMES, _VALUES(self), strict=True))
        return encode("work_item_event", fields, shipped_id("work_item_event") if schema_id is None else schema_id)


_NAMES: Final = tuple(field.name for field in dataclasses.fields(WorkItemEvent))
_VALUES: Final = attrgetter(*_NAMES)
