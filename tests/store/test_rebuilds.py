"""Progress of rebuilds as it is stored: it never goes back, and what is finished stays finished."""

from __future__ import annotations

from contextlib import closing

import pytest

from streams.store.client import connect
from streams.store.migrations import migrate
from streams.store.rebuilds import ALWAYS_US, Rebuild, pending, write_rebuilds
from streams.store.sink import Sink
from tests.store.engine import EngineStore


@pytest.mark.parametrize("counted", [0, 1, 5, 6, 7, 100])
def test_a_finished_rebuild_is_finished_however_many_items_were_counted(clickhouse_database: str, counted: int) -> None:
    with closing(connect(clickhouse_database)) as client:
        migrate(client, "")
        store = EngineStore(client)
        sink = Sink(store, "worker")
        rebuild = Rebuild(3, 1_000_000, *ALWAYS_US, epoch=2, total=counted)
        later = Rebuild(3, 2_000_000, *ALWAYS_US)
        write_rebuilds(sink, [rebuild, later])
        for count in (2, 4):
            rebuild = rebuild.further(count, ["acme", f"I-{count}"])
            write_rebuilds(sink, [rebuild])
            assert pending(store, [3])[3] == rebuild
            assert rebuild.done <= rebuild.total
        write_rebuilds(sink, [rebuild.finish()])
        assert pending(store, [3]) == {3: later}
