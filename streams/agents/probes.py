"""Asks the probes: a task beside the alert agent, for the tenants of the partitions of value-windows that it owns.

An alert's row is written before anybody is told, like those of windows; the state is read again each time, so a crash loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.agents.context import Context
from streams.agents.delivery import Deliverer, Seat
from streams.config import ALERTS_TOPIC
from streams.detect.alert import Alert, alert_rows
from streams.detect.policy import AlertPolicy
from streams.detect.probes import PROBES, judged
from streams.errors import Fenced, first_line
from streams.store.probes import ask

log = structlog.get_logger(__name__)

LOOK_S = 15.0
"""Between two looks at which probes are due."""


class Prober:
    """Asks each probe once in its interval, at times that are multiples of it: two owners that meet write the same rows."""

    def __init__(self, context: Context, deliverer: Deliverer, seat: Callable[[], Seat], policy: AlertPolicy) -> None:
        self.context, self._deliverer, self._seat, self._policy = context, deliverer, seat, policy
        self._asked: dict[str, tuple[Seat, int]] = {}

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.round()

    async def round(self) -> None:
        """Ask the probes that are due."""
        seat = self._seat()
        for probe in PROBES if seat[1] else ():
            now_us = self.context.wall_us() // probe.every_us * probe.every_us
            if self._asked.get(probe.name) == (seat, now_us):
                continue
            try:
                await self._ask(probe.name, seat, now_us)
            except Fenced:
                return  # the next owner asks
            except ClickHouseError as error:  # refused for good: alerts on windows must go on
                log.warning("a probe was not answered", probe=probe.name, error=first_line(error))
            self._asked[probe.name] = seat, now_us

    async def _ask(self, name: str, seat: Seat, now_us: int) -> None:
        """Ask once with each set of numbers that is in force for somebody."""
        context = self.context

        def alive() -> bool:
            return self._seat() == seat

        changes: list[Alert] = []
        for probe in self._policy.variants(name):
            opened, findings = await context.persist(
                alive, ask, context.stored, probe, seat[1], context.partitions, now_us, self._policy
            )
            changes += judged(probe, opened, findings, now_us)
        if changes:
            await self._tell(changes, alive)

    async def _tell(self, changes: Sequence[Alert], alive: Callable[[], bool]) -> None:
        context = self.context
        await self._deliverer.expect(changes, alive)
        await context.persist(alive, context.sink.rows, "alerts", alert_rows(changes))
        self._deliverer.wake()
        await context.publish(ALERTS_TOPIC, [(change.fingerprint.encode(), change.message()) for change in changes])
        for change in changes:
            context.metrics.add("tokenworth_alert_transitions_total", state=change.state)
