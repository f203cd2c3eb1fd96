"""Logs: both forms, the limit on repeats, and that no secret passes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streams import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_carry_values_level_logger_and_time() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.stdlib.get_logger("streams.join").info("flushed", partition=3, rows=1200)
    (line,) = lines(stream)
    assert {key: line[key] for key in ("event", "level", "logger", "partition", "rows")} == {
        "event": "flushed",
        "level": "info",
        "logger": "streams.join",
        "partition": 3,
        "rows": 1200,
    }
    assert str(line["timestamp"]).endswith("Z")


def test_a_terminal_gets_readable_text() -> None:
    stream = Terminal()
    logs.configure(stream=stream)
    structlog.stdlib.get_logger("streams.join").warning("flush is late", seconds=4)
    assert "flush is late" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_level_and_second_call() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("WARNING", first)
    logs.configure("WARNING", second)
    log = structlog.stdlib.get_logger("streams.join")
    log.info("hidden")
    log.warning("shown")
    assert not first.getvalue()
    assert [line["event"] for line in lines(second)] == ["shown"]


def test_libraries_repeat_a_message_once_in_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    logs.configure(stream=stream, now=clock)
    aiokafka = logging.getLogger("aiokafka.conn")
    for node in range(50):
        aiokafka.error("Unable to connect to node %s", node)
    aiokafka.error("another message")
    aiokafka.info("chatter")
    clock.s = 9.9
    aiokafka.error("Unable to connect to node %s", 50)
    clock.s = 10.0
    aiokafka.error("Unable to connect to node %s", 51)
    assert [(line["event"], line.get("suppressed")) for line in lines(stream)] == [
        ("Unable to connect to node 0", None),
        ("another message", None),
        ("Unable to connect to node 51", 50),
    ]


def test_our_own_lines_are_never_left_out() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, now=Clock())
    for _ in range(5):
        structlog.stdlib.get_logger("streams.agents").error("flush refused")
        logging.getLogger("streams.store").error("flush refused")
    assert len(lines(stream)) == 10


def test_messages_that_never_repeat_do_not_fill_the_memory() -> None:
    clock = Clock()
    repeat = logs.RepeatFilter(clock)
    for number in range(5000):
        clock.s = number / 10
        assert repeat.filter(logging.LogRecord("faust", logging.ERROR, "", 0, f"message {number}", None, None))
    assert len(repeat._seen) <= 1000


def connect(address: str) -> None:
    key = address.partition("@")[0].rpartition(":")[2]  # a local variable that a traceback must not show
    raise ConnectionError(f"{address} does not answer to {len(key)} characters")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_no_secret_reaches_a_line(stream: io.StringIO) -> None:
    logs.configure(stream=stream)
    address = "http://writer:hunter2-secret@127.0.0.1:8123/tokenworth"
    log = structlog.stdlib.get_logger("streams.store")
    log.info("connect", clickhouse=address, password="hunter2-secret", actor_key="hunter2-secret")
    logging.getLogger("clickhouse_connect").warning(
        "cannot reach %s", "http://127.0.0.1:8123/?user=writer&password=hunter2-secret&wait=1"
    )
    try:
        connect(address)
    except ConnectionError:
        log.exception("lost")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "writer:***@127.0.0.1:8123/tokenworth" in text
    assert "password=***&wait=1" in text
    assert "ConnectionError" in text
