"""A gate that listens to the audit log of a real kube-apiserver: who calls, who has moved, and who comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.observations import CredentialTried, Moment
from aks_entra.core.planning.fleet import ReadAs
from aks_entra.core.preflight.audit_callers import Holds
from aks_entra.core.rollout.caller_recipes import recipe_of
from aks_entra.core.rollout.own_calls import OwnCall
from aks_entra.core.rollout.quiet import Listened, listen
from aks_entra.planning.audit_logs import listen_to, owners_of
from aks_entra.planning.workloads import workloads_of
from aks_entra.ports.migration import HeldCredential
from aks_entra.probes.old_credentials import tried
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tests.control_plane.caller import Caller
from tests.control_plane.real_sandbox import SUBSCRIPTION, real_sandbox

pytestmark = pytest.mark.control_plane

LOGGED = "{name: logged, nodes: 1, identity: managed, adminGroups: [aks-admins], auditLog: {workspace: logs}}"
CLUSTER = ClusterId(subscription_id=SUBSCRIPTION, resource_group="shop", name="logged")
NODES = "/api/v1/nodes"
QUIET = 7 * 86_400
AHEAD = timedelta(days=8)


async def own_calls_of(cluster: ClusterId) -> tuple[tuple[CredentialTried, ...], AdminRead]:
    """Try an admin credential of the cluster as a migration does, and read with it as a plan does."""
    async with open_session(Settings()) as session:
        ports = session.ports
        posture, held = await ports.arm.cluster(cluster), await ports.arm.hold_admin_credential(cluster)
        assert isinstance(held, HeldCredential)
        posture = replace(posture, ca=held.ca)
        tries = await tried(ports, posture, Moment.BEFORE, held)
        seen = await workloads_of(ports, replace(posture, identity=Identity.NONE), ReadAs.ADMIN_CREDENTIAL)
        assert seen.admin_read is not None, seen
        return tries, seen.admin_read


async def heard(caller: Caller, recorded: tuple[OwnCall, ...] = ()) -> Listened:
    """Return what the gate hears now. The session is new, because the clock may have been advanced."""
    async with open_session(Settings(poll_interval=0.2, look_interval=0.2)) as session:
        found = await listen_to(session.ports, (CLUSTER,), QUIET)
    return listen(CLUSTER, replace(found[CLUSTER.key], recorded=recorded), QUIET, caller.sandbox.clock.now())


async def test_a_caller_shuts_the_gate_until_it_moves_and_again_when_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_sandbox(tmp_path, LOGGED) as caller:
        for name, value in caller.sandbox.environment.items():
            monkeypatch.setenv(name, value)
        operator, keys = caller.sandbox.operator, caller.generation("logged")
        assert "must begin before" in (await heard(caller)).unknown, "the log is younger than the quiet time"

        caller.sandbox.clock.advance(AHEAD)
        assert (await caller.ask("logged", NODES, certificate=keys)).status == 200
        assert (await caller.ask("logged", NODES, token=keys.token)).status == 200
        shut = await heard(caller)
        assert (shut.quiet, shut.unknown) == (False, "")
        assert {(one.holds, one.username) for one in shut.callers} == {(Holds.ADMIN_CERTIFICATE, "masterclient")}
        assert sum(one.count for one in shut.callers) == 2
        assert {recipe_of(one).title for one in shut.callers} == {"An unknown program"}

        async def with_entra() -> int:
            token = await caller.token(operator.principal.app_id, operator.secret)
            return (await caller.ask("logged", NODES, token=token)).status

        assert await with_entra() == 200
        caller.sandbox.clock.advance(AHEAD)
        assert await with_entra() == 200
        moved = await heard(caller)
        assert (moved.quiet, moved.unknown, moved.callers) == (True, "", ())

        now = stamp(caller.sandbox.clock.now())  # the log has the sandbox's time
        tries, read = await own_calls_of(CLUSTER)
        assert [one.status for one in tries] == [200, 200]
        recorded: tuple[OwnCall, ...] = (*(replace(one, at=now) for one in tries), replace(read, at=now, until=now))
        own = await heard(caller, recorded)
        assert (own.quiet, own.unknown, [one.count for one in own.own]) == (True, "", [2 + read.requests])
        assert not (await heard(caller)).quiet, "nobody recorded these calls"
        assert not (await heard(caller, recorded[:2])).quiet, "nobody recorded what the plan read"
        one_less = replace(read, at=now, until=now, requests=read.requests - 1)
        assert not (await heard(caller, (*recorded[:2], one_less))).quiet

        owned = {"metadata": {"name": "ci", "labels": {"team": "payments"}}}
        token = await caller.token(operator.principal.app_id, operator.secret)
        made = await caller.ask("logged", "/api/v1/namespaces", method="POST", body=owned, token=token)
        assert made.status == 201, made
        assert (await caller.ask("logged", "/api/v1/namespaces/ci/pods", certificate=keys)).status == 200
        back = await heard(caller, recorded)
        assert not back.quiet
        assert [one.username for one in back.callers] == ["masterclient"]
        assert back.callers[0].last_seen > moved.since
        assert [one.namespace for one in back.callers] == ["ci"]
        async with open_session(Settings()) as session:
            (owners,) = (await owners_of(session.ports, (back,))).values()
        assert [one.words for one in owners] == ["owner: payments, by label team of namespace ci"]
