"""Receivers on loopback with moods: what each has taken, in the order in which it came."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from tests.deliver.formats import CHECKS
from tests.deliver.servers import Posted, Request, serving

Mood = Literal["well", "slow", "too slow", "failing", "busy"]
_BAD: Final = ("too slow", "failing", "busy")
"""After these the sender tries again: at most two of them follow on each other, or its pauses would outlast the run."""
TIMEOUT_S: Final = 1.0
"""Of the senders."""


@dataclass(frozen=True)
class Told:
    """A notice that a receiver has taken. `begun`: the episode's begin (us)."""

    fingerprint: str
    begun: int
    event: str
    id: str
    """What the receiver may know it by; empty: the format has nothing but the fingerprint."""


@dataclass
class Moody:
    """One receiver. `on_request` is called when a request is read and when it is answered."""

    kind: str
    seed: int
    on_request: Callable[[str], None]
    calm: bool = False
    port: int = 0
    requests: int = 0
    moods: list[Mood] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What was no request of its kind."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Request) -> Mood:
        """Note a request; says in which mood it is answered."""
        with self._lock:
            mood = self._mood(self.requests)
            self.requests += 1
            self.moods.append(mood)
            try:
                notices = _NOTICES[self.kind](request)
                CHECKS[self.kind](request, notices[0].event)
            except (AssertionError, KeyError, ValueError) as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
                return mood
            if mood not in ("failing", "busy"):
                self.told += notices
            return mood

    def over(self) -> set[tuple[str, int]]:
        """Episodes whose end it has been told."""
        return {(one.fingerprint, one.begun) for one in list(self.told) if one.event == "resolved"}

    def _mood(self, number: int) -> Mood:
        if self.calm:
            return "well"
        rng = random.Random(f"{self.seed}-{self.kind}-{number}")
        moods: tuple[Mood, ...] = ("well", "slow", "too slow", "failing", "busy")
        drawn = rng.choices(moods, (5, 2, 1, 1, 1))[0]
        return "well" if drawn in _BAD and all(mood in _BAD for mood in self.moods[-2:]) and self.moods[1:] else drawn


@contextmanager
def moody(kind: str, seed: int, on_request: Callable[[str], None]) -> Iterator[Moody]:
    """Run one in a thread."""
    found, ended = Moody(kind, seed, on_request), threading.Event()

    class Handler(Posted):
        def answer(self, request: Request) -> None:
            mood = found.take(request)
            found.on_request("read")
            ended.wait({"slow": 0.3, "too slow": 1.5 * TIMEOUT_S}.get(mood, 0.0))
            try:
                self.send_response({"failing": 503, "busy": 429}.get(mood, 202))
                if mood == "busy":
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.wfile.flush()
            except OSError:
                self.close_connection = True  # the client has gone
            found.on_request("answered")

    with serving(Handler) as found.port:
        try:
            yield found
        finally:
            ended.set()


def _webhook(request: Request) -> list[Told]:
    return [Told(one["fingerprint"], _us(one["startsAt"]), one["status"], "") for one in request.json["alerts"]]


def _pagerduty(request: Request) -> list[Told]:
    found = request.json
    event = {"trigger": "firing", "resolve": "resolved"}[found["event_action"]]
    return [Told(found["dedup_key"], _us(found["payload"]["timestamp"]), event, "")]


def _signed(request: Request) -> list[Told]:
    """A message of several notices names each."""
    found: dict[str, Any] = request.json["data"]
    event = request.json["type"].removeprefix("alert.")
    own = {**found, "id": request.headers["webhook-id"]}
    return [Told(one["fingerprint"], _us(one["starts_at"]), event, one["id"]) for one in found.get("alerts", [own])]


_NOTICES: Final[dict[str, Callable[[Request], list[Told]]]] = {
    "webhook": _webhook,
    "pagerduty": _pagerduty,
    "signed": _signed,
}
KINDS: Final = tuple(_NOTICES)


def _us(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1e6)
