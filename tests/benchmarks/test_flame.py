"""The picture of where the worker's time goes."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.flame import drawn, tree

STACKS = """\
thread (1): compute_0;run (threading.py:982);apply (streams/join.py:7);decode (streams/events.py:3) 30
thread (1): compute_0;run (threading.py:982);apply (streams/join.py:9) 10
thread (1): compute_0;run (threading.py:982);_worker (concurrent/futures/thread.py:81) 500
thread (2): insert_1;insert (streams/store/sink.py:4);send (http/client.py:1) 40
thread (3): insert_2;insert (streams/store/sink.py:4) 20
"""


def test_equal_functions_and_threads_of_a_pool_are_one_box_and_waiting_is_left_out() -> None:
    root = tree(STACKS)
    assert root.samples == 100
    compute, insert = root.called["compute"], root.called["insert"]
    assert (compute.samples, insert.samples) == (40, 60)
    apply = compute.called["apply (streams/join.py)"]
    assert (apply.samples, apply.called["decode (streams/events.py)"].samples) == (40, 30)
    assert insert.called["insert (streams/store/sink.py)"].samples == 60


def test_the_picture_is_a_box_for_each_function() -> None:
    svg = ET.fromstring(drawn(tree(STACKS), "a <title>"))
    names = [title.text for title in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert names[0] == "worker: 100.0%"
    assert "decode (streams/events.py): 30.0%" in names
    assert len(names) == 7
