"""The bench's look at a flow run's process: pauses of the event loop, and what else had the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.meter import PAUSES, Commands, pauses
from bench.pauses.sitecustomize import EVERY, FLOW_RUN, FOLDER, Beat, WaitedForProcessor

BUSY = """
import asyncio, time
async def main():
    await asyncio.sleep(0.05)
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end: pass
    await asyncio.sleep(0.05)
asyncio.run(main())
"""


class Timers:
    """Notes after how many seconds it should call."""

    def __init__(self) -> None:
        self.ordered: list[float] = []

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        assert callable(callback)
        self.ordered.append(delay)


def test_a_beat_tells_each_pause_and_how_much_of_it_others_caused() -> None:
    told: list[tuple[float, float]] = []
    now, waited = [100.0], [1.0]
    beat = Beat(timers := Timers(), lambda *one: told.append(one), lambda: now[0], lambda: waited[0])
    for after, with_others in ((0.0, 0.0), (EVERY, 0.0), (EVERY + 0.3, 0.1), (EVERY + 0.2, 0.0), (EVERY + 0.5, 0.9)):
        now[0] += after
        waited[0] += with_others
        beat()
    assert [(round(pause, 3), round(with_others, 3)) for pause, with_others in told] == [
        (0.3, 0.1),
        (0.2, 0.0),
        (0.5, 0.5),
    ]
    assert timers.ordered == [EVERY] * 5


def test_the_time_without_a_processor_grows_as_the_kernel_counts_it() -> None:
    waited = WaitedForProcessor()
    before = waited()
    counted = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    assert 0.0 <= before <= counted <= waited()


def test_a_flow_runs_process_leaves_its_pauses_in_a_file(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PAUSES), FOLDER: str(tmp_path), FLOW_RUN: "a"}
    subprocess.run([sys.executable, "-c", BUSY], env=environment, check=True)
    assert pauses(tmp_path, "a")[0].pause > 0.2
    assert pauses(tmp_path, "b") == ()


def test_a_flow_run_without_a_long_pause_was_measured_too(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PAUSES), FOLDER: str(tmp_path), FLOW_RUN: "a"}
    command = [sys.executable, "-c", "import asyncio; asyncio.run(asyncio.sleep(0))"]
    subprocess.run(command, env=environment, check=True)
    assert pauses(tmp_path, "a")[-1].pause == 0.0


def test_another_process_is_not_watched(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != FLOW_RUN}
    subprocess.run(
        [sys.executable, "-c", BUSY], env={**environment, "PYTHONPATH": str(PAUSES), FOLDER: str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []


def test_a_pause_counts_without_the_share_of_others(tmp_path: Path) -> None:
    for name, pause, waited in (("1", 0.5, 0.4), ("2", 0.3, 0.0)):
        said = {"run": "a", "pause": pause, "waited": waited, "where": name}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(said) + "\n")
    assert [(one.where, round(one.own, 3)) for one in pauses(tmp_path, "a")] == [("2", 0.3), ("1", 0.1)]


def test_others_are_named_by_what_they_used_without_our_own() -> None:
    seen = Commands(ours={2})
    seen.note({1: ("pytest", 10.0), 2: ("python", 5.0)})
    seen.note({1: ("pytest", 13.0), 2: ("python", 9.0), 3: ("mypy", 2.0), 4: ("bash", 0.1)})
    seen.note({1: ("pytest", 16.0)})
    found = seen.others(busy=9.0, wall=10.0)
    assert (found.cores, found.commands) == (0.9, {"pytest": 0.6, "mypy": 0.2})
    assert seen.others(busy=-0.1, wall=10.0).cores == 0.0


def test_a_process_that_works_is_seen() -> None:
    seen = Commands()
    seen.look()
    sum(range(3_000_000))
    seen.look()
    name, used = seen.seen[os.getpid()]
    assert name
    assert seen.before is not None
    assert used > seen.before[os.getpid()]
    assert os.getpid() in seen.ours
