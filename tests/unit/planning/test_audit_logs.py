"""Reading the audit logs of many clusters: few queries; what one of them lacks is unknown for its clusters alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.preflight.audit_callers import AuditedCallers, AuditLog
from aks_entra.core.rollout.owners import Owner
from aks_entra.core.rollout.quiet import Heard, Listened
from aks_entra.errors import Refused, TryLater
from aks_entra.planning.audit_logs import PAGE, listen_to, owners_of
from aks_entra.ports.migration import Ports
from tests.support.audit_logs import caller, covered
from tests.support.cases import SHOP
from tests.support.memory_ports import World

DAY = 86_400
ONE, TWO = AuditLog(workspace="/w/one", whole=True), AuditLog(workspace="/w/two", whole=True)


def clusters(count: int) -> tuple[ClusterId, ...]:
    return tuple(replace(SHOP, name=f"c-{number:03}") for number in range(count))


@dataclass
class Trail:
    """Audit logs in memory. Answers for more than `at_once` clusters are cut short."""

    logs: Mapping[str, AuditLog]
    at_once: int = PAGE
    asked: list[tuple[str, int]] = field(default_factory=list)
    broken: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    busy: int = 0

    async def callers(self, cluster: ClusterId, days: int) -> tuple[AuditedCallers | None, str]:
        raise AssertionError((cluster, days))

    async def log_of(self, cluster: ClusterId) -> tuple[AuditLog | None, str]:
        if cluster.name in self.broken:
            raise Refused("may not be read")
        log = self.logs.get(cluster.name)
        return log, "" if log else "it sends its log nowhere"

    async def callers_in(
        self, log: AuditLog, clusters: Sequence[ClusterId], since: timedelta
    ) -> tuple[Mapping[str, AuditedCallers], str]:
        assert since == timedelta(days=1, hours=2)
        self.asked.append((log.workspace, len(clusters)))
        if self.busy:
            self.busy -= 1
            raise TryLater("busy", after=1)
        if log.workspace in self.broken:
            raise Refused(f"{log.workspace} refuses")
        missing = "only a part" if len(clusters) > self.at_once else ""
        found = {one.key: covered(DAY, missing=missing) for one in clusters if one.name not in self.silent}
        return found, missing


def listening(trail: Trail | None) -> Ports:
    return replace(World().process().ports, audit=trail)


async def test_clusters_of_one_workspace_share_a_query() -> None:
    many = clusters(PAGE + 3)
    trail = Trail({one.name: TWO if one.name == "c-000" else ONE for one in many}, busy=1)
    heard = await listen_to(listening(trail), many, DAY)
    assert {one.key for one in many} == set(heard)
    assert all(one.log and not one.log.missing for one in heard.values())
    assert sorted(set(trail.asked)) == [("/w/one", 2), ("/w/one", PAGE), ("/w/two", 1)]


async def test_an_answer_that_was_cut_short_is_asked_for_again_in_halves() -> None:
    trail = Trail(dict.fromkeys((one.name for one in clusters(5)), ONE), at_once=2)
    heard = await listen_to(listening(trail), clusters(5), DAY)
    assert all(one.log and not one.log.missing for one in heard.values())
    assert [count for _, count in trail.asked] == [5, 2, 3, 1, 2]
    trail = Trail({"c-000": ONE}, at_once=0)
    (alone,) = (await listen_to(listening(trail), clusters(1), DAY)).values()
    assert alone.log
    assert alone.log.missing == "only a part"
    assert trail.asked == [("/w/one", 1)]


async def test_what_cannot_be_read_is_unknown_for_its_clusters_alone() -> None:
    logs = {"c-000": ONE, "c-001": ONE, "c-002": TWO}
    trail = Trail(logs, broken=("c-003", "/w/two"), silent=("c-001",))
    heard = await listen_to(listening(trail), clusters(5), DAY)
    by_name = {one.name: heard[one.key] for one in clusters(5)}
    assert by_name["c-000"].log
    assert by_name["c-001"] == Heard(unknown="workspace one has no audited request of it")
    assert by_name["c-002"] == Heard(unknown="/w/two refuses")
    assert by_name["c-003"] == Heard(unknown="may not be read")
    assert by_name["c-004"] == Heard(unknown="it sends its log nowhere")
    alone = await listen_to(listening(None), clusters(1), DAY)
    assert [one.unknown for one in alone.values()] == ["this session cannot read audit logs"]


async def test_owners_are_read_from_namespaces_and_from_tags() -> None:
    world = World()
    owner = Owner(name="payments", by="label team of namespace ci", namespace="ci")
    tagged = Owner(name="shop", by="tag team")
    for name, identity in (("shop-01", Identity.MANAGED), ("shop-02", Identity.NONE), ("shop-03", Identity.MANAGED)):
        cluster = world.add(name, identity=identity)
        cluster.tags, cluster.namespace_owners = (("team", "shop"),), {"ci": owner, "bare": None}
    cluster.reachable = False
    shut = tuple(
        Listened(
            cluster=replace(SHOP, name=name),
            callers=tuple(caller(namespace=one) for one in ("hidden", "bare", "ci", "")),
        )
        for name in ("shop-01", "shop-02", "shop-03", "gone")
    )
    found = await owners_of(world.process().ports, shut)
    assert [found[one.cluster.key] for one in shut] == [(tagged, owner), (tagged,), (tagged,), ()]
