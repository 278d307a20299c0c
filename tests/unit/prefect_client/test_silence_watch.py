"""When a run on another host counts as dead: by the server's clock, and only under an observer's eyes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType

from aks_entra.prefect_client.liveness import (
    HEARTBEAT_INTERVAL,
    HEARTBEATS,
    LOOKED_ON,
    PENDING,
    PROCESS,
    SILENCE,
    SILENCE_OF_OLD,
    Liveness,
    Process,
    SilenceWatch,
    liveness_of,
)
from aks_entra.prefect_client.run_end import PATIENCE, Underway

SERVER_TIME = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)  # far from this machine's
ELSEWHERE = "other-host/17/4711/another-boot/pid:[1]"


@dataclass
class Server:
    """A Prefect server that knows its time, and whether it has had heartbeats."""

    heartbeats: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/csrf-token"):
            return httpx.Response(422, json={"detail": "CSRF protection is disabled."})
        self.asked.append(request.url.path.removeprefix("/api"))
        if request.url.path.endswith("/events/filter"):
            event = {
                "occurred": SERVER_TIME.isoformat(),
                "received": SERVER_TIME.isoformat(),
                "event": "prefect.flow-run.heartbeat",
                "resource": {"prefect.resource.id": "prefect.flow-run.x"},
                "id": str(uuid4()),
            }
            return httpx.Response(
                200, json={"events": [event] * self.heartbeats, "total": self.heartbeats, "next_page": None}
            )
        return httpx.Response(200, json=True, headers={"Date": format_datetime(SERVER_TIME, usegmt=True)})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[PrefectClient]:
    transport = httpx.MockTransport(server.answer)
    async with PrefectClient("http://prefect.test/api", httpx_settings={"transport": transport}) as one:
        yield one


def run(*, silent: timedelta, state: StateType = StateType.RUNNING, **labels: str) -> FlowRun:
    """A run whose row was last written to so long ago by the server's clock."""
    wire = {
        "id": UUID(int=1),
        "flow_id": UUID(int=2),
        "name": "batch",
        "state": State(type=state),
        "updated": SERVER_TIME - silent,
        "labels": labels,
    }
    return FlowRun.model_validate(wire)


def beating(silent: timedelta, label: str = ELSEWHERE) -> FlowRun:
    return run(silent=silent).model_copy(update={"labels": {PROCESS: label, HEARTBEATS: "4"}})


@pytest.mark.parametrize(
    ("silent", "expected"), [(SILENCE - timedelta(seconds=1), Liveness.ALIVE), (SILENCE, Liveness.SILENT)]
)
async def test_a_run_of_another_host_lives_as_long_as_it_writes_to_its_row(
    client: PrefectClient, server: Server, silent: timedelta, expected: Liveness
) -> None:
    assert await liveness_of(client, beating(silent)) is expected
    assert server.asked == ["/health"], "no event is asked for: they pass a broker"


async def test_the_kernel_decides_for_a_process_of_this_host_whatever_the_beat(client: PrefectClient) -> None:
    own = Process.own()
    assert await liveness_of(client, beating(timedelta(days=9), str(own))) is Liveness.ALIVE
    gone = str(own).replace(f"/{own.pid}/", f"/{10**12}/")
    assert await liveness_of(client, beating(timedelta(), gone)) is Liveness.DEAD


@pytest.mark.parametrize("label", ["", "somebody else wrote this", ELSEWHERE])
async def test_a_run_of_an_earlier_version_lives_as_long_as_prefect_has_its_heartbeats(
    client: PrefectClient, server: Server, label: str
) -> None:
    old = run(silent=SILENCE_OF_OLD).model_copy(update={"labels": {PROCESS: label}})
    assert await liveness_of(client, old) is Liveness.SILENT
    server.heartbeats = 1
    assert await liveness_of(client, old) is Liveness.ALIVE
    server.heartbeats = 0
    assert await liveness_of(client, old.model_copy(update={"updated": SERVER_TIME - SILENCE})) is Liveness.ALIVE


async def test_a_run_that_waits_for_its_pod_is_not_taken_for_dead(client: PrefectClient) -> None:
    waiting = run(silent=PENDING - timedelta(seconds=1), state=StateType.PENDING)
    assert await liveness_of(client, waiting) is Liveness.WAITING
    assert await liveness_of(client, run(silent=PENDING, state=StateType.PENDING)) is Liveness.SILENT


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (StateType.SCHEDULED, Liveness.WAITING),
        (StateType.PAUSED, Liveness.WAITING),
        (StateType.COMPLETED, Liveness.ENDED),
        (StateType.CRASHED, Liveness.ENDED),
    ],
)
async def test_a_run_without_a_process_is_not_asked_about(
    client: PrefectClient, server: Server, state: StateType, expected: Liveness
) -> None:
    assert await liveness_of(client, run(silent=timedelta(days=1), state=state)) is expected
    assert server.asked == []


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def looks(
    watch: SilenceWatch, time: Time, seen: FlowRun, known: Liveness, *, seconds: float, every: float = 2.0
) -> bool:
    """Look on for so long. Returns what the last look said."""
    said = watch.dead(seen, known)
    for _ in range(int(seconds / every)):
        time.now += every
        said = watch.dead(seen, known)
    return said


def test_a_silent_run_is_dead_only_after_somebody_looked_on_for_three_beats() -> None:
    time = Time()
    watch, seen = SilenceWatch(time), beating(SILENCE)
    enough = LOOKED_ON.total_seconds()
    assert not looks(watch, time, seen, Liveness.SILENT, seconds=enough - 2)
    assert looks(watch, time, seen, Liveness.SILENT, seconds=2)


def test_a_beat_begins_the_vigil_again() -> None:
    time = Time()
    watch = SilenceWatch(time)
    looks(watch, time, beating(SILENCE), Liveness.SILENT, seconds=80)
    assert not looks(watch, time, beating(SILENCE + timedelta(seconds=1)), Liveness.SILENT, seconds=80)


def test_an_outage_of_the_server_begins_the_vigil_again() -> None:
    """Nobody could beat meanwhile, so the first looks after it say nothing."""
    time = Time()
    watch, seen = SilenceWatch(time), beating(SILENCE)
    looks(watch, time, seen, Liveness.SILENT, seconds=80)
    time.now += HEARTBEAT_INTERVAL.total_seconds() + 1
    assert not looks(watch, time, seen, Liveness.SILENT, seconds=80)
    assert looks(watch, time, seen, Liveness.SILENT, seconds=10)


def test_what_the_kernel_knows_needs_no_vigil() -> None:
    assert SilenceWatch(Time()).dead(beating(timedelta()), Liveness.DEAD)


@pytest.mark.parametrize("known", [Liveness.ALIVE, Liveness.WAITING, Liveness.ENDED])
def test_a_run_that_is_not_silent_is_never_dead(known: Liveness) -> None:
    time = Time()
    assert not looks(SilenceWatch(time), time, beating(SILENCE), known, seconds=10_000)


def batch(number: int, state: StateType) -> FlowRun:
    return run(silent=timedelta(), state=state).model_copy(update={"id": UUID(int=number)})


def watched(*states: StateType, seconds: float, clock: Callable[[], float] | None = None) -> bool:
    """Whether the batches of a stage count as not taken after so long in these states."""
    time = Time()
    underway = Underway(clock=clock or time)
    for _ in range(int(seconds)):
        time.now += 1
        for number, state in enumerate(states):
            underway.note(batch(number, state))
    return underway.idle


def test_batches_that_no_worker_takes_are_noticed_after_their_patience() -> None:
    assert not watched(StateType.SCHEDULED, StateType.SCHEDULED, seconds=PATIENCE)
    assert watched(StateType.SCHEDULED, StateType.SCHEDULED, seconds=PATIENCE + 1)


@pytest.mark.parametrize("sibling", [StateType.RUNNING, StateType.PENDING])
def test_a_batch_whose_sibling_is_underway_waits_for_its_place(sibling: StateType) -> None:
    assert not watched(StateType.SCHEDULED, sibling, seconds=10 * PATIENCE)


def test_a_sibling_that_ended_gives_its_place_away() -> None:
    assert watched(StateType.SCHEDULED, StateType.COMPLETED, seconds=PATIENCE + 1)
