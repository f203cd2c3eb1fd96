"""An event loop in which time passes only when nothing is left to do, and blocking code that stops at every request to the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Executor(Protocol):
    """What stands for a pool of threads."""

    async def run(self, step: Callable[[], Any], outside: asyncio.Future[Any]) -> None: ...


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio's own loop over a clock that jumps to the next timer. Raises RuntimeError when nothing would ever happen again."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = 1e-9
        self._selector = self  # asked by BaseEventLoop how long to wait for I/O: there is none

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Nothing to read: time passes at once."""
        if timeout is None:
            raise RuntimeError("nothing is left that could happen")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As with real threads: who stops waiting does not stop the step."""
        outside = self.create_future()
        self.create_task(executor.run(lambda: func(*args), outside))
        return outside


Message = tuple[str, Any]
"""To a thread: step, answer or failed. From it: asks, done or failed."""


class Puppet:
    """A thread that runs one step at a time, and only while the loop waits for it; inside, `ask` lets the loop go on until it has an answer."""

    _of_thread = threading.local()

    def __init__(self) -> None:
        self._loop_goes, self._thread_goes = threading.Lock(), threading.Lock()
        self._loop_goes.acquire()
        self._thread_goes.acquire()
        self._message: Message = ("", None)
        threading.Thread(target=self._live, daemon=True).start()

    def resume(self, kind: str, value: Any) -> Message:
        """Give the thread a step, an answer or an error; returns what it says next: asks, done or failed."""
        self._message = (kind, value)
        self._thread_goes.release()
        self._loop_goes.acquire()
        return self._message

    @classmethod
    def ask(cls, request: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """In a step: have the loop run a coroutine; returns or raises what that does."""
        self: Puppet = cls._of_thread.puppet
        kind, answer = self._said("asks", request)
        if kind == "failed":
            raise answer
        return answer

    def _said(self, kind: str, value: Any) -> Message:
        self._message = (kind, value)
        self._loop_goes.release()
        self._thread_goes.acquire()
        return self._message

    def _live(self) -> None:
        self._of_thread.puppet = self
        while True:
            self._thread_goes.acquire()
            try:
                self._message = ("done", self._message[1]())
            except BaseException as error:  # noqa: BLE001 - it is the loop's to judge
                self._message = ("failed", error)
            self._loop_goes.release()


_idle: list[Puppet] = []


async def blocking(step: Callable[[], Any]) -> Any:
    """Run blocking code, suspended wherever it asks."""
    puppet = _idle.pop() if _idle else Puppet()
    kind, value = puppet.resume("step", step)
    while kind == "asks":
        try:
            answer = await value()
        except BaseException as error:  # noqa: BLE001 - raised inside the step, which may handle it
            kind, value = puppet.resume("failed", error)
        else:
            kind, value = puppet.resume("answer", answer)
    _idle.append(puppet)
    if kind == "failed":
        raise value
    return value
