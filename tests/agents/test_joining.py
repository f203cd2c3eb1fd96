"""A worker that joins while others come and go applies what it is assigned."""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.agents.test_stop import send
from tests.agents.watched import worker
from tests.e2e.system import System


def test_a_take_over_that_begins_in_the_middle_of_the_next_rebalance(system: System) -> None:
    with ExitStack() as running, ExitStack() as leaving:
        first = leaving.enter_context(worker(system, "first"))
        first.wait_until_ready()
        joins = running.enter_context(worker(system, "joins", fault="take_over_begins_late"))
        alone = system.settings.partitions
        system.wait(lambda: first.log().count('"alerts taken over"') > alone, "the group has taken the second one in")
        first.wait_until_ready()
        time.sleep(1)
        first.stop()
        leaving.close()
        send(system, 100)
        joins.wait_until_ready()
        system.wait_until_applied()
