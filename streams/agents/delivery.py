"""Delivers alerts: a task beside the alert agent, for the partitions of value-windows that it owns. `deliver/outbox.py` has the order of writes.

A round reads alerts and deliveries from ClickHouse, sends what is due and notes each outcome before the next one: memory holds nothing that
a crash could lose but the breakers. Channels are served at the same time, so a slow one holds up no other for longer than one attempt.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import Final

import structlog

from streams.agents.context import Context
from streams.agents.explaining import Explainer
from streams.deliver import messages, outbox
from streams.deliver.channel import Channel, Delivered, Outcome, Retry
from streams.deliver.grouping import grouped
from streams.deliver.notice import Notice
from streams.deliver.outbox import Breaker, Delivery, Due, Key
from streams.deliver.quiet import NOTHING, Quiet
from streams.deliver.reasons import UNEXPLAINED, Explained
from streams.detect.alert import Alert
from streams.detect.calendar import Calendar
from streams.errors import Fenced
from streams.store.deliveries import delivery_rows, load_deliveries, load_told
from streams.store.explained import explain
from streams.store.silences import load_acknowledgements, load_silences

log = structlog.get_logger(__name__)

ROUND_S: Final = 5.0
"""Between two looks at the outbox; a change of an alert wakes it at once."""
Seat = tuple[int, frozenset[int]]
"""The agent's tenure and its partitions: as long as it is the same, nobody else sends for them."""


class Deliverer:
    """Sends what the alerts of this worker's partitions call for. Without channels it does nothing."""

    def __init__(
        self,
        context: Context,
        channels: Mapping[str, Channel],
        seat: Callable[[], Seat],
        calendars: Sequence[Calendar] = (),
    ) -> None:
        self.context, self.channels, self._seat, self._calendars = context, channels, seat, calendars
        self._policies = [channel.policy for channel in channels.values()]
        self._explainer = Explainer(lambda alert: explain(context.stored, alert))
        self._breakers = dict.fromkeys(channels, Breaker())
        self._changed = asyncio.Event()

    async def expect(self, changes: Sequence[Alert], alive: Callable[[], bool]) -> None:
        """Note what is to be sent of these changes, before they are stored. Raises Fenced when the partition is lost."""
        rows = outbox.expected(changes, self._policies, self.context.wall_us())
        if rows:
            await self._note(rows, alive)

    def wake(self) -> None:
        """Alerts have changed and are stored."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while self.channels:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), ROUND_S)
            self._changed.clear()
            await self.round()

    async def round(self) -> None:
        """Send what is due now; comes back when every channel has had its turn."""
        seat = self._seat()
        if not seat[1]:
            return

        def alive() -> bool:
            return self._seat() == seat

        with suppress(Fenced):  # the next owner goes on from the rows
            alerts, deliveries, quiet = await self.context.persist(alive, self._load, seat[1])
            now_us = self.context.wall_us()
            if dropped := outbox.dropped(alerts, deliveries, self._policies, now_us, quiet):
                await self._note(dropped, alive)
                deliveries |= {delivery.key: delivery for delivery in dropped}
            due = outbox.due(alerts, deliveries, self._policies, now_us, quiet)
            by_channel = groupby(sorted(due, key=_channel), key=_channel)
            await asyncio.gather(*(self._send(self.channels[name], list(dues), alive) for name, dues in by_channel))

    def _load(self, wparts: frozenset[int]) -> tuple[list[Alert], dict[Key, Delivery], Quiet]:
        stored, now_us = self.context.stored, self.context.wall_us()
        alerts = load_told(stored, wparts, self.context.partitions, now_us)
        if not alerts:
            return [], {}, NOTHING
        silences = load_silences(stored, now_us - outbox.TOLD_FOR_S * 1_000_000)
        quiet = Quiet(silences, load_acknowledgements(stored), alerts, self._calendars)
        return alerts, load_deliveries(stored, now_us), quiet

    async def _send(self, channel: Channel, dues: list[Due], alive: Callable[[], bool]) -> None:
        name = channel.policy.name
        waiting = outbox.messages(dues, channel.policy)
        for message in waiting[: self._breakers[name].room(self.context.wall_us())]:
            explained = [await self._explained(due) for due in message]
            if not alive():
                return
            outcomes = await asyncio.to_thread(self._attempt, channel, message, explained)
            now_us = self.context.wall_us()
            jitter = random.random()  # noqa: S311 - spreads attempts, hides nothing
            done = []
            for (alert, delivery), outcome in zip(message, outcomes, strict=True):
                done.append(outbox.after(delivery, outcome, now_us, jitter, channel.policy.repeat_s(alert.kind)))
                self._tell(done[-1], outcome)
            failed = next((outcome for outcome in outcomes if isinstance(outcome, Retry)), None)
            self._breakers[name] = self._breakers[name].after(failed or outcomes[0], now_us)
            await self._note(done, alive)
            if failed:
                return  # what is behind it gets its turn in the next round

    async def _explained(self, due: Due) -> Explained:
        return await self._explainer.of(due.alert) if due.delivery.event == "firing" else UNEXPLAINED

    def _attempt(self, channel: Channel, message: Sequence[Due], explained: Sequence[Explained]) -> list[Outcome]:
        """Make one message of these notices and send it; what became of each. Blocking."""
        made, outcomes = list[Notice](), list[Outcome | None]()
        for due, why in zip(message, explained, strict=True):
            try:
                made.append(self._made(channel, due, why))
                outcomes.append(None)
            except Exception as error:  # noqa: BLE001 - _fault logs it
                outcomes.append(self._fault(channel, due, error))
        sent: Outcome = Delivered()
        if made:
            try:
                sent = channel.send(grouped(made))
            except Exception as error:  # noqa: BLE001 - _fault logs it
                sent = self._fault(channel, message[0], error)
        return [outcome or sent for outcome in outcomes]

    def _made(self, channel: Channel, due: Due, explained: Explained) -> Notice:
        """The notice as it is told now."""
        alert, delivery = due
        link = messages.link(channel.policy.dashboard, alert)
        made = messages.notice(alert, delivery.message_id, self.context.wall_us(), explained, link)
        return replace(made, event="acknowledged") if delivery.event == "acknowledged" else made

    @staticmethod
    def _fault(channel: Channel, due: Due, error: Exception) -> Retry:
        log.error(
            "a notice could not be made or sent", channel=channel.policy.name, rule=due.alert.rule, exc_info=error
        )
        return Retry(f"a fault of tokenworth ({type(error).__name__})")

    async def _note(self, deliveries: Sequence[Delivery], alive: Callable[[], bool]) -> None:
        await self.context.persist(alive, self.context.sink.rows, "alert_deliveries", delivery_rows(deliveries))

    def _tell(self, done: Delivery, outcome: Outcome) -> None:
        result = type(outcome).__name__.lower()
        self.context.metrics.add("tokenworth_deliveries_total", channel=done.channel, result=result)
        said = {"channel": done.channel, "notice": done.event, "fingerprint": done.fingerprint}
        if done.status == "sent":
            log.info("alert delivered", **said)
        else:
            log.warning("alert not delivered", **said, result=result, reason=done.error, attempts=done.attempts)


def _channel(one: Due) -> str:
    return one.delivery.channel
