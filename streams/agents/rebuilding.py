"""Computing results again from raw events, beside the live stream and by the partition's owner: there is no second writer.

While a rebuild is under way no stored row of the partition is trusted: whatever is loaded, for a record or for the rebuild, comes from raw
events. The rebuild loads the items and then the panes of its stretch of time, a part after each flush, and counts them as touched, so that the
next flush writes them. Its progress is stored after that flush was committed: after a crash the next owner goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from streams.agents.context import Context
from streams.agents.positions import Start
from streams.join.flush import FlushBuffer
from streams.join.partition import JoinPartition, computed
from streams.store.rebuilds import (
    ALWAYS_US,
    Rebuild,
    hours_after,
    items_after,
    panes_of,
    pending,
    write_rebuilds,
)
from streams.store.recovery import load_items, load_panes, usage_of_panes

log = structlog.get_logger(__name__)

ASK_EVERY_S: Final = 5.0
ITEMS_PER_STEP: Final = 5_000
HOURS_PER_STEP: Final = 6


class Rebuilding:
    """The rebuilds of a worker's partitions."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.parts: dict[int, Rebuild] = {}
        self._unsaved: dict[int, Rebuild] = {}
        self._asked_at = context.monotonic()

    @property
    def slice_waits(self) -> bool:
        """Whether the next flush should come at once."""
        return bool(self._unsaved)

    async def take_over(
        self, starts: Mapping[int, Start], epochs: Mapping[int, int], alive: Callable[[], bool]
    ) -> None:
        """Take up the rebuilds of partitions; where a start asks for one it is a rebuild of everything."""
        self.parts, self._unsaved = {}, {}
        now = self.context.wall_us()
        own = [Rebuild(p, now, *ALWAYS_US) for p, begin in starts.items() if begin.rebuilds]
        if own:
            await self.context.persist(alive, write_rebuilds, self.context.sink, own)
        found = await self.context.persist(alive, pending, self.context.stored, list(starts))
        for p, rebuild in found.items():
            begun = rebuild
            if not rebuild.epoch:
                begun = replace(rebuild, epoch=epochs[p], total=await self.context.persist(alive, self._total, rebuild))
                await self.context.persist(alive, write_rebuilds, self.context.sink, [begun])
            log.info("rebuild under way", partition=p, done=begun.done, total=begun.total)
            self.parts[p] = begun

    def distrust(self, state: JoinPartition) -> None:
        """Make a new state load from raw events if its partition is being rebuilt."""
        state.rebuilding = state.partition in self.parts

    async def go_on(self, parts: Mapping[int, FlushBuffer], holds: Callable[[FlushBuffer], bool]) -> bool:
        """The next part of each rebuild under way, of parts that the agent still `holds`. True when others were requested: the group must assign partitions again, so that memory is dropped."""
        requested = await self.requested(list(parts))
        for p in list(self.parts):
            if part := parts.get(p):
                epoch = part.epoch
                await self.step(part, lambda: holds(part) and part.epoch == epoch)  # noqa: B023 - awaited here
        return requested

    async def requested(self, partitions: Iterable[int]) -> bool:
        """Whether a rebuild was requested that its partition's owner has not taken up; asks every few seconds."""
        if self.context.monotonic() - self._asked_at < ASK_EVERY_S:
            return False
        self._asked_at = self.context.monotonic()
        wanted = [p for p in partitions if p not in self.parts]
        return bool(wanted and await self.context.persist(lambda: True, pending, self.context.stored, wanted))

    async def step(self, part: FlushBuffer, alive: Callable[[], bool]) -> None:
        """After a flush: what the step before this one touched is committed; store the progress and touch the next part."""
        p = part.state.partition
        if (done := self._unsaved.pop(p, None)) is not None:
            if part.waits_for_rebuild:
                self._unsaved[p] = done
                return
            await self.context.persist(alive, write_rebuilds, self.context.sink, [done])
            self.parts[p] = done
            if done.finished:
                del self.parts[p]
                part.state.rebuilding = False
                log.info("rebuild finished", partition=p, total=done.total)
                return
        self._unsaved[p] = await self.context.persist_state(alive, self._next, part, self.parts[p])
        await asyncio.sleep(0)

    def _total(self, rebuild: Rebuild) -> int:
        return len(items_after(self.context.stored, rebuild)) + len(hours_after(self.context.stored, rebuild))

    def _next(self, part: FlushBuffer, rebuild: Rebuild) -> Rebuild:
        """Load and touch the next items, or else the next hours of panes; returns the rebuild with that done."""
        stored, state = self.context.stored, part.state
        if len(rebuild.cursor) != 1:
            items = items_after(stored, rebuild, ITEMS_PER_STEP)
            if len(items):
                load_items(stored, state, state.absent_items(items))
                state.touch_items(items)
                part.touch()
                return rebuild.further(len(items), list(items.row(-1)))
        hours = hours_after(stored, rebuild, HOURS_PER_STEP)
        for hour in hours:
            panes = panes_of(stored, rebuild, hour)
            load_panes(stored, state, state.absent_panes(panes))
            state.touch_panes(panes)
            state.add_actors(computed(usage_of_panes(stored, state, panes), state.prices).actors)
        part.touch()
        if hours:
            return rebuild.further(len(hours), [str(hours[-1])])
        return rebuild.finish()
