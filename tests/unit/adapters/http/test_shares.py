"""Processes divide a bucket among themselves: joins, leaves, deaths, an outage of the server, and any order of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aks_entra.adapters.http.pacing import IDLE, Buckets
from aks_entra.adapters.http.shares import JOINING, LEASE, RENEWED_EVERY, Claim, Listener, Statement, Use, debt
from aks_entra.core.estimate.limits import SHARE

SUBSCRIPTION = "/subscriptions/a"
AKS = f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/x/agentPools"
BURST, RATE = 60.0, 1.0  # of AKS for everything that has no bucket of its own, as published


@dataclass
class Board:
    """What all processes have written, and a clock that moves only when the test moves it."""

    now: float = 0.0
    written: dict[str, tuple[float, bool, dict[str, Use]]] = field(default_factory=dict)

    def write(self, process: str, uses: dict[str, Use], *, left: bool = False) -> None:
        self.written[process] = (self.now, left, uses)

    def read(self, reader: str) -> list[Statement]:
        return [
            Statement(process=name, age=self.now - at, left=left, uses=uses)
            for name, (at, left, uses) in self.written.items()
            if name != reader
        ]


class Process:
    """One process: its buckets, and what it has stated."""

    def __init__(self, name: str, board: Board) -> None:
        self.name, self.board = name, board
        self.buckets = Buckets(1.0, lambda: board.now, shared=True)
        self.stated: dict[str, Use] = {}
        self.line = self.buckets.of("GET", AKS)[1]
        self.line.used_at = board.now

    def write(self) -> None:
        self.stated = self.buckets.state()
        self.board.write(self.name, self.stated)

    def read(self) -> bool:
        return self.buckets.hear(self.stated, self.board.read(self.name))

    def renew(self) -> bool:
        self.write()
        return self.read()

    def leave(self) -> None:
        self.board.write(self.name, self.buckets.leave(), left=True)

    def send(self) -> int:
        """Send as many requests as there are tokens. Each is answered at once. Returns their number."""
        sent = 0
        self.line.used_at = self.board.now
        while self.line.bucket.wait(self.board.now) == 0:
            self.line.bucket.take(self.board.now)
            self.line.bucket.answered(self.board.now)
            sent += 1
        return sent

    @property
    def share(self) -> float:
        return self.line.bucket.share


@pytest.fixture(name="board")
def a_board() -> Board:
    return Board()


def settle(*processes: Process) -> None:
    """Let everybody state and read until nothing changes any more."""
    for _ in range(20):
        changing = [one.renew() for one in processes]
        if not any(changing):
            return
    raise AssertionError("the shares do not settle")


def test_a_process_alone_has_the_whole_burst_after_its_first_statement(board: Board) -> None:
    alone = Process("a", board)
    assert alone.send() == 0
    assert alone.renew() is False
    assert alone.share == 1
    assert alone.send() == BURST * SHARE


def test_a_process_that_joins_gets_a_small_part_at_once_and_an_equal_one_when_the_other_has_made_room(
    board: Board,
) -> None:
    first, second = Process("a", board), Process("b", board)
    first.renew()
    second.renew()
    assert (first.share, second.share) == (1, JOINING / 2)
    assert second.send() == 0
    board.now += RENEWED_EVERY
    settle(first, second)
    assert (first.share, second.share) == (0.5, 0.5)


def test_the_part_of_a_process_that_leaves_goes_to_the_others(board: Board) -> None:
    everybody = [Process(name, board) for name in "abcde"]
    settle(*everybody)
    assert [one.share for one in everybody] == pytest.approx([0.2] * 5)
    for one in everybody[1:]:
        one.leave()
    settle(everybody[0])
    assert everybody[0].share == 1


def test_the_part_of_a_process_that_died_is_free_when_its_lease_ends(board: Board) -> None:
    one, other = Process("a", board), Process("b", board)
    settle(one, other)
    while board.now < LEASE - RENEWED_EVERY:
        board.now += RENEWED_EVERY
        one.line.used_at = board.now
        settle(one)
    assert one.share == 0.5
    board.now += RENEWED_EVERY
    settle(one)
    assert one.share == 1


def test_after_an_outage_of_the_server_nobody_takes_the_part_of_those_who_could_not_renew(board: Board) -> None:
    one, other = Process("a", board), Process("b", board)
    settle(one, other)
    board.now += 10 * LEASE
    one.line.used_at = other.line.used_at = board.now
    one.renew()
    assert one.share == 0.5
    settle(one, other)
    assert (one.share, other.share) == (0.5, 0.5)


def test_a_bucket_that_is_not_used_any_more_is_given_back(board: Board) -> None:
    one, other = Process("a", board), Process("b", board)
    settle(one, other)
    board.now += IDLE
    one.line.used_at = board.now
    settle(other, one)
    assert (one.share, other.share) == (1, 0)
    other.line.used_at = board.now
    settle(one, other)
    assert (one.share, other.share) == (0.5, 0.5)


def test_the_next_process_finds_the_bucket_as_the_last_one_left_it(board: Board) -> None:
    one = Process("a", board)
    one.renew()
    assert one.send() == 48
    one.leave()
    board.now += 10
    after = Process("b", board)
    after.renew()
    assert after.share == 1
    assert after.send() == 8
    after.leave()
    after.renew()
    assert after.send() == 0  # nor does it forget what it took itself


def test_a_process_that_died_may_have_emptied_the_bucket() -> None:
    died = Statement(process="a", age=LEASE, left=False, uses={"k": Use(1.0)})
    assert debt("k", 48, 0.8, [died]) == 48 - 0.8 * (LEASE - RENEWED_EVERY)
    assert debt("k", 48, 0.8, [replace(died, age=1000)]) == 0
    assert debt("other", 48, 0.8, [died]) == 0


def test_the_others_learn_how_long_azure_asked_to_wait(board: Board) -> None:
    one, other = Process("a", board), Process("b", board)
    settle(one, other)
    one.line.bucket.block(board.now, 30)
    one.write()
    board.now += 5
    other.renew()
    assert other.line.bucket.blocked(board.now) == 25
    one.leave()
    board.now += 5
    third = Process("c", board)
    third.renew()
    assert third.line.bucket.blocked(board.now) == 20


def test_without_the_server_a_process_goes_on_with_a_small_part_and_after_a_while_with_what_it_has(
    board: Board,
) -> None:
    one, other = Process("a", board), Process("b", board)
    one.buckets.go_on(alone=False)
    assert (one.share, one.send()) == (JOINING / 2, 0)
    one.buckets.go_on(alone=True)
    assert one.share == 1
    settle(one, other)
    new = one.buckets.of("GET", "/subscriptions/b")[0]
    one.buckets.go_on(alone=True)
    assert (one.share, new.bucket.share) == (0.5, 0.5)


def test_what_is_read_of_one_bucket_says_nothing_of_another(board: Board) -> None:
    one, other = Process("a", board), Process("b", board)
    theirs = other.buckets.of("GET", "/subscriptions/b")[0]
    theirs.used_at, other.line.used_at = board.now, -1000.0
    settle(one, other)
    assert (one.share, theirs.bucket.share, other.share) == (1, 1, 0)


def test_the_buckets_of_a_cluster_are_not_shared(board: Board) -> None:
    cluster = f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/x"
    own = Process("a", board).buckets.of("GET", cluster)[1]
    assert (own.shared, own.bucket.share) == (False, 1)


def test_claims_that_are_too_large_together_are_taken_back() -> None:
    one, other = Claim(), Claim()
    first, second = one.state(), other.state()
    assert one.hear([second]) is other.hear([first]) is True
    assert (one.in_use, other.in_use) == (0, 0)
    assert one.state() == 0
    assert one.hear([]) is True  # the other has gone: the next statement claims all of it
    assert (one.in_use, one.state()) == (0, 1)
    assert one.hear([]) is False
    assert one.in_use == 1


def test_only_a_process_that_was_known_to_live_has_time_after_an_outage() -> None:
    listener = Listener()
    known = Statement(process="a", age=1, left=False, uses={})
    strange = replace(known, process="b", age=10 * LEASE)
    assert listener.live([known, strange], 0.0) == (known,)
    old = replace(known, age=10 * LEASE)
    assert listener.live([old, strange], 10 * LEASE) == (old,)
    assert listener.live([replace(old, left=True)], 10 * LEASE + 1) == ()


def test_a_part_that_was_made_smaller_does_not_hide_what_the_larger_one_took(board: Board) -> None:
    one, other = Process("a", board), Process("b", board)
    one.renew()
    sent = one.send()
    other.write()
    one.read()
    assert one.share == 0.5
    one.leave()
    other.read()
    assert other.share == 1
    assert sent + other.send() <= BURST


def test_what_two_processes_took_that_left_together_comes_back_at_azures_rate(board: Board) -> None:
    leavers = [Process(name, board) for name in "ab"]
    settle(*leavers)
    board.now += BURST
    settle(*leavers)
    sent = sum(one.send() for one in leavers)
    for one in leavers:
        one.leave()
    board.now += BURST / 2
    last = Process("c", board)
    last.renew()
    assert sent + last.send() <= BURST + RATE * BURST / 2


ACTIONS: dict[str, Callable[[Process], object]] = {"write": Process.write, "read": Process.read, "send": Process.send}


def histories(processes: int) -> st.SearchStrategy[list[tuple[str, int, float]]]:
    """What happens to which process, and after how many seconds."""
    actions = st.sampled_from(["write", "read", "send", "renew", "leave", "die", "wait"])
    return st.lists(st.tuples(actions, st.integers(1, processes), st.floats(0, RENEWED_EVERY)), max_size=120)


@settings(max_examples=300)
@given(st.integers(1, 6).flatmap(histories))
def test_whatever_joins_leaves_and_dies_azures_bucket_never_overflows(history: list[tuple[str, int, float]]) -> None:
    """Six processes at most. They state and read in any order, and always send as much as they may."""
    living: dict[int, Living] = {}
    board, born = Board(), 0
    level, before = BURST, 0.0
    for action, number, seconds in history:
        if action == "wait":
            due = [one for one in living.values() if one.due < board.now + seconds]
            board.now += seconds
            for one in due:  # living processes renew in time
                one.process.renew()
                one.due = board.now + RENEWED_EVERY
        if number not in living:
            born += 1
            living[number] = Living(Process(f"{born}", board), board.now + RENEWED_EVERY)
            living[number].process.write()
        process = living[number].process
        if action == "renew":
            process.renew()
        elif action == "leave":
            process.leave()
        elif action in ACTIONS:
            ACTIONS[action](process)
        if action in {"leave", "die"}:
            del living[number]
        sent = sum(one.process.send() for one in living.values())
        level = min(BURST, level + (board.now - before) * RATE) - sent
        before = board.now
        assert level >= -1e-6
        assert sum(one.process.line.claim.in_use for one in living.values()) <= 1 + 1e-2


@dataclass
class Living:
    """A process, and when it renews at the latest."""

    process: Process
    due: float
