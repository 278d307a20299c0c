"""Random histories of one cluster: after every step, each statement about its credentials is compared with the truth.

A failure prints the history that led to it, and a blob (`@reproduce_failure`) that replays it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from aks_entra.core.target import RotationPolicy
from tests.matrix.statements.archive import HARMS, Harm
from tests.matrix.statements.cluster_history import KUBECONFIGS, ClusterHistory, Kubeconfig, Log, Place
from tests.matrix.statements.portal import DEEDS, VISIT
from tests.support.executor_jobs import STARTS
from tests.support.record_places import REACHES, Reach

MINUTE, DAY = 60, 86400
PASSING = (MINUTE, 20 * MINUTE, 6 * 3600, DAY, 20 * DAY, 95 * DAY)
PLACES: tuple[Place, ...] = ("server", "folder")
SAID: Counter[tuple[str, str, bool]] = Counter()
"""How often each statement was made in this run, by whom, and whether an old credential worked at that time."""


class RandomHistory(RuleBasedStateMachine):
    """A random history of one cluster."""

    history: ClusterHistory
    folder: TemporaryDirectory[str]

    @initialize(
        start=st.sampled_from(sorted(STARTS)), migrated=st.booleans(), records=st.sampled_from(("memory", "folder"))
    )
    def it_begins(self, start: str, records: str, *, migrated: bool) -> None:
        self.folder = TemporaryDirectory()
        self.history = ClusterHistory.begin(start, Path(self.folder.name) if records == "folder" else None)
        if migrated:
            asyncio.run(self.history.migrate(RotationPolicy.AT_ONCE))
        self._check()

    @rule(rotation=st.sampled_from(RotationPolicy), place=st.sampled_from(PLACES), bare=st.booleans())
    def we_migrate(self, rotation: RotationPolicy, place: Place, *, bare: bool) -> None:
        asyncio.run(self.history.migrate(rotation, place=place, bare=bare))
        self._check()

    @rule(rotation=st.sampled_from(RotationPolicy), kill=st.integers(20, 200))
    def we_migrate_and_die(self, rotation: RotationPolicy, kill: int) -> None:
        asyncio.run(self.history.migrate(rotation, kill=kill))
        self._check()

    @rule()
    def we_resume(self) -> None:
        asyncio.run(self.history.resume())
        self._check()

    @rule()
    def we_roll_back(self) -> None:
        asyncio.run(self.history.roll_back())
        self._check()

    @rule(hand_out=st.booleans(), closes=st.booleans())
    def we_break_the_glass(self, *, hand_out: bool, closes: bool) -> None:
        asyncio.run(self.history.open_glass(hand_out=hand_out))
        self._check()
        if closes:
            asyncio.run(self.history.close_glass())
            self._check()

    @rule()
    def the_sweep_closes(self) -> None:
        asyncio.run(self.history.close_glass())
        self._check()

    @rule(deeds=st.lists(st.sampled_from(DEEDS), min_size=1, max_size=4))
    def somebody_in_the_portal(self, deeds: list[str]) -> None:
        asyncio.run(self.history.in_portal(*deeds))
        self._check()

    @rule(opened=st.sampled_from([MINUTE, DAY]))
    def somebody_opens_fetches_and_closes(self, opened: int) -> None:
        asyncio.run(self.history.in_portal("opens", "fetches"))
        asyncio.run(self.history.pass_time(opened))
        asyncio.run(self.history.in_portal("closes"))
        self._check()

    @rule(deeds=st.lists(st.tuples(st.integers(0, 40), st.sampled_from((*DEEDS, "waits"))), min_size=1, max_size=5))
    def somebody_will_interfere(self, deeds: list[tuple[int, str]]) -> None:
        self.history.at_calls(*deeds)

    @rule(after=st.integers(1, 150))
    def somebody_will_visit(self, after: int) -> None:
        self.history.at_calls((after, VISIT[0]), *((0, deed) for deed in VISIT[1:]))

    @rule(
        what=st.sampled_from(["plan", "first plan", "fleet"]),
        place=st.sampled_from(PLACES),
        kubeconfig=st.none() | st.sampled_from(KUBECONFIGS),
    )
    def we_verify(self, what: str, place: Place, kubeconfig: Kubeconfig | None) -> None:
        asyncio.run(self.history.verify(what, place, kubeconfig))  # type: ignore[arg-type]  # one of the three
        self._check()

    @rule()
    def a_night_passes(self) -> None:
        asyncio.run(self.history.verify_nightly())
        self._check()

    @rule(seconds=st.sampled_from(PASSING))
    def time_passes(self, seconds: int) -> None:
        self.history.events.append(f"{seconds} seconds pass")
        asyncio.run(self.history.pass_time(seconds))
        self._check()

    @rule(state=st.sampled_from(["readable", "late", "unreadable"]))
    def the_log(self, state: Log) -> None:
        self.history.log(state)
        self._check()

    @rule(harm=st.sampled_from(HARMS), place=st.integers(0, 3))
    def a_record_comes_to_harm(self, harm: Harm, place: int) -> None:
        self.history.events.append(f"a record is {harm}")
        asyncio.run(self.history.archive.harm(harm, place))
        self._check()

    @rule(reach=st.sampled_from(REACHES))
    def the_store(self, reach: Reach) -> None:
        self.history.events.append(f"the store of records is {reach}")
        self.history.archive.place.reach = reach
        self._check()

    @rule()
    def the_process_ends(self) -> None:
        self.history.events.append("the process ends, and another one opens the store of records")
        self.history.archive.forget()
        self._check()

    def _check(self) -> None:
        asyncio.run(self.history.check_everything())

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.folder.cleanup()
            SAID.update(self.history.counted)
