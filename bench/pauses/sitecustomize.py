"""Record the longest pause of a flow run's event loop. Production code does not know that it is measured.

Python imports this module at its start, because `bench` puts this folder on PYTHONPATH. A timer fires in the event loop
50 times a second; a pause is the time by which it fires late. Each pause is written to a file at once, so a process
that is killed has told it as well.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from asyncio import base_events
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

EVERY = 0.02  # seconds between two beats
WORTH = 0.1  # seconds: shorter pauses are not written
FOLDER = "BENCH_PAUSES"  # the variable that names the folder of the files
FLOW_RUN = "PREFECT__FLOW_RUN_ID"


class Timers(Protocol):
    """What a beat needs of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        """Call after `delay` seconds."""


class Beat:
    """A timer of one event loop. `waited`: the seconds for which this thread has waited for a processor so far."""

    def __init__(
        self,
        loop: Timers,
        tell: Callable[[float, float], None],
        clock: Callable[[], float] = time.perf_counter,
        waited: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._clock = clock
        self._waited = waited
        self._before = waited()
        self.due = clock()

    def __call__(self) -> None:
        """Compare the time with the time at which this call was due, and order the next one."""
        now, waited = self._clock(), self._waited()
        if (pause := now - self.due) > WORTH:
            self._tell(pause, min(pause, waited - self._before))
        self._before = waited
        self.due = now + EVERY
        self._loop.call_later(EVERY, self)


class Looker(threading.Thread):
    """A thread that reads what the event loop's thread does while a beat is late."""

    def __init__(self, beat: Beat) -> None:
        super().__init__(name="bench-pauses", daemon=True)
        self._beat = beat
        self._watched = threading.get_ident()
        self._late: list[str] = []

    def run(self) -> None:
        """Look 20 times a second."""
        while True:
            time.sleep(WORTH / 2)
            if time.perf_counter() - self._beat.due > WORTH / 2:
                self._late.append(self._where())

    def seen(self) -> str:
        """Return what ran in the middle of the pause that just ended."""
        late, self._late = self._late, []
        return late[len(late) // 2] if late else ""

    def _where(self) -> str:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001  # documented
        names: list[str] = []
        while frame is not None and len(names) < 12:  # noqa: PLR2004  # enough to see who called
            names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}:{frame.f_lineno}")
            frame = frame.f_back
        return " < ".join(names)


class WaitedForProcessor:
    """Returns the seconds for which the present thread was ready to run and had no processor, as Linux counts them.

    The file stays open: to open it took as much as all else that a beat does.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> float:
        """Read the file again. 0 if it cannot be read."""
        with suppress(OSError, ValueError, IndexError):
            return int(os.pread(self._file, 128, 0).split()[1]) / 1e9 if self._file is not None else 0.0
        return 0.0


def install(folder: Path, run: str) -> None:
    """Let every event loop that starts in the main thread of this process have a beat."""
    original = base_events.BaseEventLoop.run_forever

    def run_forever(self: base_events.BaseEventLoop) -> None:
        if threading.current_thread() is threading.main_thread():
            lookers: list[Looker] = []

            def tell(pause: float, waited: float) -> None:
                said = {"run": run, "pause": pause, "waited": waited, "where": "".join(one.seen() for one in lookers)}
                with (folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(said) + "\n")

            beat = Beat(self, tell, waited=WaitedForProcessor())
            lookers.append(Looker(beat))
            lookers[0].start()
            tell(0.0, 0.0)  # measured, even if no pause is worth a line
            self.call_soon(beat)
        original(self)

    base_events.BaseEventLoop.run_forever = run_forever  # type: ignore[method-assign]


if (_folder := os.environ.get(FOLDER)) and (_run := os.environ.get(FLOW_RUN)):
    install(Path(_folder), _run)
