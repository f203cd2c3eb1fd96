"""One run: lives of a worker that end by kill -9, then one that may go on until all is told."""

from __future__ import annotations

import math
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.agents.watched import Watched, worker
from tests.deliver.formats import ROUTING_KEY, SIGNING_KEY
from tests.deliver.kills.receivers import KINDS, TIMEOUT_S, Moody, Told, moody
from tests.deliver.kills.story import RULES, Episode, Story, make_story, tell
from tests.e2e.system import System, running_system

STEPS_A_LIFE: Final = 3
STEP_S: Final = 0.6
LIFE_S: Final = 20.0
"""The longest life: a moment that was drawn may never come, because nothing is sent."""
LEAST_KILLS: Final = 3
SETTLE_S: Final = 60.0
CHANNEL: Final = """
[[channel]]
name = "{kind}"
kind = "{kind}"
url = "http://127.0.0.1:{port}/in"
allow_private = true
timeout_s = {timeout_s}
"""
SECRETS: Final = {"signed": "SIGNING_SECRET", "pagerduty": "ROUTING_KEY"}

When = Literal["spawned", "ready", "read", "answered"]


@dataclass(frozen=True)
class Options:
    """What may be chosen. `kills`: lives that end by kill -9; fewer if these take longer than `killing_s`, but three."""

    seed: int = 1
    kills: int = 8
    killing_s: float = math.inf


@dataclass(frozen=True)
class End:
    """How a life ends: `after_s` after it was spawned, or was ready, or after a receiver had read or answered its `request`-th request."""

    when: When
    after_s: float
    request: int


@dataclass
class Outcome:
    """What a run came to. `problems` is empty when everything is as it must be."""

    episodes: int
    kills: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    moods: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = [f"{self.episodes} episodes", f"{self.kills.total()} kills ({_listed(self.kills)})"]
        said += [f"{count} notices taken by {kind}, {self.repeated[kind]} of them again" for kind, count in self.notices.items()]  # fmt: skip
        return "; ".join((*said, f"answers: {_listed(self.moods)}", f"{self.seconds:.0f} s"))


def ends(options: Options) -> list[End]:
    """The same for the same options."""
    rng, found = random.Random(options.seed), []
    for _ in range(options.kills):
        when: When = rng.choices(("spawned", "ready", "read", "answered"), (1, 2, 3, 3))[0]
        most_s = {"spawned": 6.0, "ready": 2.0, "read": 0.05, "answered": 0.05}[when]
        found.append(End(when, rng.uniform(0.0, most_s), rng.randint(1, 6)))
    return found


class _Life:
    """A worker that is killed at its moment, from whichever thread sees that come."""

    def __init__(self, end: End, found: Watched) -> None:
        self._end, self._found, self._requests = end, found, 0
        self.over = threading.Event()
        self.by = "not reached"

    def on_request(self, what: str) -> None:
        """A receiver has read or answered a request."""
        if what == self._end.when:
            self._requests += 1
            if self._requests == self._end.request:
                self._kill_after()

    def watch(self, tick: Callable[[], None]) -> None:
        """Block until it is killed."""
        began = time.monotonic()
        if self._end.when == "spawned":
            self._kill_after()
        while not self.over.wait(0.02):
            tick()
            if self._end.when == "ready" and self._found.page("ready")[0] == 200:
                self._kill_after()
            if time.monotonic() - began > LIFE_S:
                self.over.set()
        self._found.child.kill()

    def _kill_after(self) -> None:
        time.sleep(self._end.after_s)
        with suppress(ProcessLookupError):
            os.killpg(self._found.child.pid, signal.SIGKILL)
        self.by = self._end.when
        self.over.set()


def run(options: Options, folder: Path) -> Outcome:
    """Run with files in `folder`; blocks. Fails when something hangs; what is wrong in the end is in the outcome."""
    began, lives = time.monotonic(), list[_Life]()
    story = make_story(options.seed, STEPS_A_LIFE * options.kills + 12)
    found = Outcome(len(story.episodes))
    with ExitStack() as opened:
        system = opened.enter_context(running_system(folder / "stack", "tansu", partitions=2, allowed_lateness_s=0))

        def on_request(what: str) -> None:
            if lives:
                lives[-1].on_request(what)

        receivers = [opened.enter_context(moody(kind, options.seed, on_request)) for kind in KINDS]
        env = _environment(folder, receivers)
        teller = _Teller(story, system)
        for number, end in enumerate(ends(options)):
            if number >= LEAST_KILLS and time.monotonic() - began > options.killing_s:
                break
            with worker(system, f"life-{number}", **env) as one:
                lives.append(_Life(end, one))
                lives[-1].watch(teller.tick)
            found.kills[lives[-1].by] += 1
        lives.clear()
        for receiver in receivers:
            receiver.calm = True
        teller.rest()
        with worker(system, "last", **env) as last:
            _settle(last, receivers, story)
            assert last.stop() < 10
            said = last.log()
        stored = system.client.query(
            "SELECT fingerprint, toUnixTimestamp64Micro(started_at) FROM alerts FINAL WHERE fired_at > 0"
        ).result_rows
    found.problems += [f"{name} stands in the log" for name, secret in _secrets().items() if secret in said]
    if set(map(tuple, stored)) != story.episodes:
        found.problems.append(f"stored episodes differ: {set(map(tuple, stored)) ^ story.episodes}")
    for receiver in receivers:
        found.problems += [f"{receiver.kind}: {problem}" for problem in (*receiver.wrong, *judged(receiver.told, story.episodes))]  # fmt: skip
        found.notices[receiver.kind] = len(receiver.told)
        found.repeated[receiver.kind] = len(receiver.told) - len(set(receiver.told))
        found.moods.update(receiver.moods)
    found.seconds = time.monotonic() - began
    return found


def judged(told: Iterable[Told], episodes: Iterable[Episode]) -> list[str]:
    """What is wrong with what a receiver took: an episode that lacks a notice, an order, or a second incident for one episode."""
    by_key: dict[str, list[Told]] = {}
    for one in told:
        by_key.setdefault(one.fingerprint, []).append(one)
    wanted: dict[str, list[int]] = {}
    for fingerprint, begun in sorted(episodes):
        wanted.setdefault(fingerprint, []).append(begun)
    problems = [f"{key}: there is no such alert" for key in by_key.keys() - wanted.keys()]
    for key, begins in wanted.items():
        notices = by_key.get(key, [])
        shown = list(dict.fromkeys((one.begun, one.event) for one in notices))
        if shown != [(begun, event) for begun in begins for event in ("firing", "resolved")]:
            problems.append(f"{key}: shown were {shown}, episodes began at {begins}")
        if sorted(notices, key=lambda one: (one.begun, one.event)) != notices:
            problems.append(f"{key}: repeated out of order: {notices}")
        if len({one.id for one in notices if one.id}) not in (0, 2 * len(begins)):
            problems.append(f"{key}: a notice came under two ids: {notices}")
    return problems


class _Teller:
    """Tells the story step by step, while workers live and while they do not."""

    def __init__(self, story: Story, system: System) -> None:
        self._story, self._system, self._told, self._due = story, system, 0, 0.0

    def tick(self) -> None:
        """Tell the next step if it is time."""
        if self._told < len(self._story.steps) and time.monotonic() >= self._due:
            tell(self._story, self._told, self._system.settings, self._system.client)
            self._told, self._due = self._told + 1, time.monotonic() + STEP_S

    def rest(self) -> None:
        """Tell what is left."""
        while self._told < len(self._story.steps):
            self._due = 0.0
            self.tick()


def _environment(folder: Path, receivers: Iterable[Moody]) -> dict[str, str]:
    text = ""
    for one in receivers:
        text += CHANNEL.format(kind=one.kind, port=one.port, timeout_s=TIMEOUT_S)
        text += f'secret_env = "{SECRETS[one.kind]}"\n' if one.kind in SECRETS else ""
    (folder / "channels.toml").write_text(text)
    (folder / "rules.toml").write_text(RULES)
    return _secrets() | {
        "TOKENWORTH_AGENTS": "alerts",
        "TOKENWORTH_CHANNELS": str(folder / "channels.toml"),
        "TOKENWORTH_ALERT_RULES": str(folder / "rules.toml"),
        "TOKENWORTH_ALLOWED_LATENESS_S": "0",
        "TOKENWORTH_SESSION_TIMEOUT_S": "2",
    }


def _secrets() -> dict[str, str]:
    return {"SIGNING_SECRET": SIGNING_KEY, "ROUTING_KEY": ROUTING_KEY}


def _settle(last: Watched, receivers: Sequence[Moody], story: Story) -> None:
    """Block until each receiver has been told of each episode's end. Fails when nobody has been told anything for SETTLE_S."""
    since, before = time.monotonic(), -1
    while left := {one.kind: len(untold) for one in receivers if (untold := story.episodes - one.over())}:
        assert last.child.exit_code is None, last.child.log_tail()
        if (told := sum(len(one.told) for one in receivers)) != before:
            since, before = time.monotonic(), told
        assert time.monotonic() - since < SETTLE_S, f"untold: {left}\n{last.child.log_tail()}"
        time.sleep(0.1)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
