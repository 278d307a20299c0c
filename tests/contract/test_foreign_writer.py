"""Another writer changes the cluster between plan and apply, and before each request of a migration.

Such changes are refused or preserved, never overwritten: tags, properties that we do not own, and properties that
today's api-version does not know, bit by bit.
"""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.planning import planner
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.front.http import Reply, Request
from azure_sandbox.front.proxy import Target
from azure_sandbox.server import Sandbox
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import ADMINS, SUBSCRIPTION, cluster, fleet_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

THEIRS = "a1b2c3d4-1111-4222-8333-944445555888"
HOW = {"none": "identity: none", "legacy": "identity: legacy", "open": "identity: managed, adminGroups: [aks-admins]"}
MOMENTS = {"none": range(1, 17, 3), "legacy": range(2, 17, 4), "open": range(1, 14)}
"""Numbers of the requests for a cluster before which the other writer writes."""
SAMPLE = {"none": {10}, "legacy": {14}, "open": {3, 6, 8, 10, 12}}
"""Numbers that run in every suite; the others are marked `long`."""
ONE_EACH = ("document", "groups", "closed", "tagged", "between")
FOREIGN: dict[str, Any] = {
    "tags": {"by": "terraform", "Umlaut": "Größe"},
    "properties": {
        "futureProfile": {"enabled": True, "deep": [{"list": [1, 2.5, None, "x"]}], "empty": {}},
        "autoScalerProfile": {"expander": "least-waste", "future-knob": "17"},
        "networkProfile": {"futureMode": "quantum"},
        "securityProfile": {"futureShield": {"level": 9}},
    },
    "futureTopLevel": {"a": [True, False]},
}
OURS = ("aadProfile", "disableLocalAccounts")
AZURES = ("provisioningState", "powerState")  # Azure's present state


def world() -> str:
    clusters: list[str] = []
    for kind, how in HOW.items():
        names = [*(f"{kind}-{number}" for number in MOMENTS[kind]), *(f"{kind}-{name}" for name in ONE_EACH)]
        if kind == "open":
            names += [f"group-{number}" for number in MOMENTS[kind]]
        clusters += [f"name: {name}, nodes: 1, {how}" for name in names]
    return fleet_world({"shop-weu": clusters}, more_groups=(f"name: theirs, id: {THEIRS}, members: [operator]",))


class OtherWriter:
    """Resolves hosts for the proxy, and changes a cluster as another writer just before the n-th request for it."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.told: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self.seen: dict[str, list[str]] = {}

    def target(self, host: str, port: int, network: str) -> Target:
        found = self.box.target(host, port, network)
        assert isinstance(found, Target), "the built-in API server answers here"

        async def handle(request: Request) -> Reply:
            path = re.search(r"/managedClusters/([^/]+)(/[^/]+)?$", request.path, re.IGNORECASE)
            if path is not None:
                name, tail = path[1].lower(), path[2] or ""
                self.seen.setdefault(name, []).append(f"{request.method} {tail}")
                number, change = self.told.get(name, (0, {}))
                if len(self.seen[name]) == number:
                    inner = request.path.removesuffix(tail) if tail else request.path
                    self.box.arm.interfere(replace(request, path=inner), change)
            return await found.handle(request)

        return replace(found, handle=handle)

    def greeting(self, path: str) -> str | None:
        return self.box.greeting(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSandbox:
    box: Sandbox
    session: Session
    by: OtherWriter

    def document(self, name: str) -> dict[str, Any]:
        """Return the cluster's raw ARM document."""
        state = self.box.arm._state  # noqa: SLF001 - the whole document, not the view of an api-version
        found = state.clusters[cluster(name).resource_id.lower()]
        return copy.deepcopy(dict(found.document))

    async def job(self, name: str) -> Job:
        selector = Selector(subscription=SUBSCRIPTION, resource_group="shop-weu", name=name)
        target = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),))
        plan = await planner.plan_fleet(
            self.session.ports, Fleet(name="shop", selectors=(selector,), target=target), ()
        )
        self.by.seen.pop(name, None)
        return Job(digest=plan.digest, plan=plan.clusters[0], prover=plan.prover)

    async def migrate(self, job: Job) -> Verdict:
        return await self.session.executor.migrate(job)

    def interfere(self, name: str, change: Mapping[str, Any]) -> None:
        """Change the cluster as another writer."""
        path = cluster(name).resource_id
        request = Request(
            method="PUT",
            host="management.azure.com",
            path=path,
            raw_path=path,
            query={},
            headers={},
            now=self.session.ports.clock.now(),
        )
        self.box.arm.interfere(request, change)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenSandbox]:
    file = tmp_path_factory.mktemp("world") / "world.yaml"
    file.write_text(world())
    with pytest.MonkeyPatch.context() as patch:
        async with in_environment(patch, file, pace=100_000, replication=0) as box:
            by = OtherWriter(box)
            box.proxy.hosts = by
            quick = Settings(
                poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0, request_rate=100_000
            )
            async with open_session(quick) as session:
                yield OpenSandbox(box=box, session=session, by=by)


def unowned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a document that neither a migration nor Azure itself changes."""
    rest = {key: value for key, value in document.items() if key not in {"properties", "eTag", "systemData"}}
    properties = document["properties"]
    rest["properties"] = {key: value for key, value in properties.items() if key not in {*OURS, *AZURES}}
    return rest


def lost(document: Any, change: Any, at: str = "") -> list[str]:
    """Return the parts of a change that a document does not contain unchanged."""
    if isinstance(change, Mapping) and isinstance(document, Mapping):
        return [
            where
            for key, value in change.items()
            for where in (lost(document[key], value, f"{at}.{key}") if key in document else [f"{at}.{key} is gone"])
        ]
    return [] if document == change else [f"{at}: {document!r} instead of {change!r}"]


@pytest.mark.parametrize("kind", HOW)
async def test_a_migration_preserves_properties_that_it_does_not_own(opened: OpenSandbox, kind: str) -> None:
    name = f"{kind}-document"
    opened.interfere(name, FOREIGN)
    before = opened.document(name)
    verdict = await opened.migrate(await opened.job(name))
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    after = opened.document(name)
    assert lost(after, FOREIGN) == []
    assert unowned(after) == unowned(before)


@pytest.mark.parametrize("kind", HOW)
async def test_a_foreign_change_between_plan_and_apply_is_preserved(opened: OpenSandbox, kind: str) -> None:
    job = await opened.job(f"{kind}-between")
    opened.interfere(f"{kind}-between", FOREIGN)
    verdict = await opened.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert lost(opened.document(f"{kind}-between"), FOREIGN) == []


GUARDED: dict[str, dict[str, Any]] = {
    "groups": {"aadProfile": {"managed": True, "adminGroupObjectIDs": [THEIRS], "enableAzureRBAC": False}},
    "closed": {"disableLocalAccounts": True},
    "tagged": {"aadProfile": {"managed": True, "adminGroupObjectIDs": [ADMINS, THEIRS], "enableAzureRBAC": True}},
}


@pytest.mark.parametrize("moved", GUARDED)
@pytest.mark.parametrize("kind", ["none", "open"])
async def test_a_change_of_the_planned_state_before_apply_is_refused(
    opened: OpenSandbox, kind: str, moved: str
) -> None:
    name = f"{kind}-{moved}"
    job = await opened.job(name)
    opened.interfere(name, {"properties": GUARDED[moved]})
    before = opened.document(name)
    verdict = await opened.migrate(job)
    writes = [
        one for one in opened.by.seen[name] if one.startswith(("PUT", "PATCH", "DELETE")) or "rotate" in one.lower()
    ]
    if verdict.outcome is Outcome.REFUSED:
        assert writes == []
        assert opened.document(name) == before
    else:  # the other writer has done one of our steps: the rest continues from there
        assert moved == "closed", verdict.because
        assert lost(opened.document(name)["properties"], GUARDED[moved]) == []


def moments(*kinds: str) -> list[Any]:
    return [
        pytest.param(kind, number, marks=() if number in SAMPLE[kind] else pytest.mark.long)
        for kind in kinds
        for number in MOMENTS[kind]
    ]


@pytest.mark.parametrize(("kind", "number"), moments(*MOMENTS))
async def test_a_foreign_change_before_any_request_is_preserved(opened: OpenSandbox, kind: str, number: int) -> None:
    name = f"{kind}-{number}"
    job = await opened.job(name)
    opened.by.told[name] = (number, FOREIGN)
    verdict = await opened.migrate(job)
    if len(opened.by.seen[name]) < number:
        pytest.skip(f"the migration has only {len(opened.by.seen[name])} requests")
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    document = opened.document(name)
    assert lost(document, FOREIGN) == []
    assert document["properties"]["disableLocalAccounts"] is True
    assert sum("rotate" in one.lower() for one in opened.by.seen[name]) == 1


@pytest.mark.parametrize(("kind", "number"), moments("open"))
async def test_a_group_that_another_writer_adds_is_never_removed(opened: OpenSandbox, kind: str, number: int) -> None:
    name = f"group-{number}"
    assert kind == "open"
    job = await opened.job(name)
    opened.by.told[name] = (number, {"properties": {"aadProfile": {"adminGroupObjectIDs": [ADMINS, THEIRS]}}})
    verdict = await opened.migrate(job)
    if len(opened.by.seen[name]) < number:
        pytest.skip(f"the migration has only {len(opened.by.seen[name])} requests")
    assert THEIRS in opened.document(name)["properties"]["aadProfile"]["adminGroupObjectIDs"], verdict.because
    assert verdict.outcome is Outcome.VERIFIED or verdict.because
    assert sum("rotate" in one.lower() for one in opened.by.seen[name]) <= 1
