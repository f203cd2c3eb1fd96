"""For platform teams: typed events, keys, pseudonyms, and publishers on Kafka."""

from streams.events.usage import UsageEvent
from streams.events.work_item import WorkItemEvent
from streams.publish.pseudonyms import Pseudonyms
from streams.publish.publishers import UsagePublisher, WorkItemPublisher

__all__ = ["Pseudonyms", "UsageEvent", "UsagePublisher", "WorkItemEvent", "WorkItemPublisher"]
