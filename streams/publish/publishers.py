"""The two publishers: typed events in, records with the right schema, key and partition out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

from streams.config import ITEMS_TOPIC, USAGE_TOPIC, Settings
from streams.events.bounds import AHEAD_OF_APPEND_US
from streams.events.fields import microseconds
from streams.events.schemas import EventName, WriterSchemas
from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish.producer import Producer

Event = TypeVar("Event", UsageEvent, WorkItemEvent)


class _Publisher(Generic[Event]):
    _event: ClassVar[EventName]
    _topic: ClassVar[str]

    def __init__(self, settings: Settings | None = None) -> None:
        """Connects. `settings`: where broker and schema registry are; None: from the environment (TOKENWORTH_*).

        Raises BrokerUnavailable when no broker answers, SetupError when the topic is missing or the schema registry
        is away.
        """
        settings = settings or Settings()
        self._schema_id = WriterSchemas(settings.schema_registry).register(self._event, self._topic)
        self._producer = Producer(settings, self._topic)

    def publish(self, event: Event) -> None:
        """Hand one event over for delivery; returns at once. Thread-safe.

        Raises ValueError for an event from the future, and BrokerUnavailable or SetupError when an earlier event
        could not be delivered.
        """
        ahead = microseconds(event.occurred_at) - time.time_ns() // 1000
        if ahead > AHEAD_OF_APPEND_US:
            allowed = AHEAD_OF_APPEND_US // 1_000_000
            raise ValueError(f"occurred_at lies {ahead // 1_000_000} s in the future, allowed are {allowed} s")
        self._producer.send(event.key, event.to_wire(self._schema_id))

    def publish_many(self, events: Iterable[Event]) -> int:
        """Publish all events, wait until they are acknowledged, and return their number."""
        count = 0
        for event in events:
            self.publish(event)
            count += 1
        self.flush()
        return count

    def flush(self) -> None:
        """Block until every event so far is acknowledged; raises BrokerUnavailable or SetupError when one is not."""
        self._producer.flush()

    def close(self) -> None:
        """Flush and disconnect."""
        self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deliver what was handed over, also when the block failed; its error is the one that is seen."""
        if error is None:
            self.close()
            return
        try:
            self.close()
        except Exception as second:  # noqa: BLE001  must not hide the first
            error.add_note(f"and then: {second}")


class UsagePublisher(_Publisher[UsageEvent]):
    """Publishes usage events.

    >>> with UsagePublisher() as usage:
    ...     usage.publish(UsageEvent(event_id="r1", occurred_at=now, tenant="acme", team="search", output_tokens=420))
    """

    _event, _topic = "usage_event", USAGE_TOPIC


class WorkItemPublisher(_Publisher[WorkItemEvent]):
    """Publishes work-item events.

    >>> with WorkItemPublisher() as items:
    ...     items.publish(
    ...         WorkItemEvent(event_id="d1", occurred_at=now, tenant="acme", work_item_id="PAY-12", kind="completed")
    ...     )
    """

    _event, _topic = "work_item_event", ITEMS_TOPIC
