"""The Kubernetes client against the sandbox's API servers, before and after a rotation."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.observations import Credential
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.core.preflight import Inside
from aks_entra.core.steps import Guarded
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.migration import HeldCredential
from aks_entra.wiring import Session
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, READER, TENANT, Opener, cluster


async def seen(session: Session, name: str, group: str = "shop-weu") -> Posture:
    posture = await session.ports.arm.cluster(cluster(name, group))
    return posture.with_ca(await session.ports.arm.certificate_authority(posture.cluster))


async def test_a_handshake_without_credentials_shows_the_certificate(opened: Opener) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("guarded"))
        serving = await session.ports.kubernetes.handshake(posture.fqdn or "")
    assert serving.issuer
    assert serving.not_before.endswith("Z")


async def test_a_member_of_the_admin_group_may_do_everything(opened: Opener) -> None:
    async with opened() as session:
        posture = await seen(session, "guarded")
        me = await session.ports.callers.prover()
        for since in (None, session.ports.clock.now()):
            there = await session.ports.kubernetes.sign_in(posture, since=since)
            assert there.username == me.object_id
            assert ADMINS in there.groups
            assert there.everything
        nodes = await session.ports.kubernetes.nodes(posture)
        assert [(one.pool, one.ready) for one in nodes] == [(posture.pools[0].name, True)]


async def test_an_outsider_is_authenticated_but_forbidden(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVER_SECRET", "the-reader")
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="PROVER_SECRET")
    async with opened(spec) as session:
        posture = await seen(session, "guarded")
        there = await session.ports.kubernetes.sign_in(posture, since=session.ports.clock.now())
        assert there.username == READER["id"]
        assert not there.everything
        with pytest.raises(Refused, match="cannot list resource") as refused:
            await session.ports.kubernetes.nodes(posture)
        assert (refused.value.status, refused.value.code) == (403, "Forbidden")


async def test_objects_that_a_rotation_affects_are_read_without_secret_values(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        posture = await seen(session, "guarded")
        api = box.arm.clusters.for_host(posture.fqdn or "")
        assert api is not None
        secrets = (("old-kubeconfig", "Opaque"), ("deployer", "kubernetes.io/service-account-token"))
        for name, kind in secrets:
            document = {
                "metadata": {"name": name, "namespace": "default"},
                "type": kind,
                "data": {"config": "c2VjcmV0"},
            }
            api.store.put(("", "secrets"), document, box.clock.now())
        there = await session.ports.kubernetes.inside(posture)
    assert (there.kubeconfigs, there.static_tokens) == (("default/old-kubeconfig",), ("default/deployer",))
    assert (there.controllers, there.budgets, there.bare_pods, there.node_local, there.masters) == (
        (),
        (),
        (),
        (),
        (),
    )


async def test_without_the_right_to_list_nothing_is_seen(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVER_SECRET", "the-reader")
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="PROVER_SECRET")
    async with opened(spec) as session:
        inside = await session.ports.kubernetes.inside(await seen(session, "guarded"))
        assert replace(inside, requests=0) == Inside()


async def test_a_cluster_without_entra_id_refuses_entra_tokens(opened: Opener) -> None:
    async with opened() as session:
        posture = await seen(session, "plain")
        with pytest.raises(TryLater, match="does not accept the prover's token") as later:
            await session.ports.kubernetes.sign_in(posture, since=session.ports.clock.now())
        assert later.value.status == 401
        assert await session.ports.kubernetes.try_credential(posture, Credential.STATIC_TOKEN) is None


async def test_a_stopped_cluster_does_not_answer(opened: Opener) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("asleep", "pay-weu"))
        with pytest.raises((TryLater, Refused)):
            await session.ports.kubernetes.sign_in(posture, since=None)


async def test_old_credentials_work_until_the_rotation(opened: Opener) -> None:
    async with opened() as session:
        arm, kubernetes, me = session.ports.arm, session.ports.kubernetes, cluster("plain")
        before = await seen(session, "plain")
        serving = await kubernetes.handshake(before.fqdn or "")
        held = await arm.hold_admin_credential(me)
        assert isinstance(held, HeldCredential)
        assert (held.has_certificate, held.has_static_token, held.ca) == (True, True, before.ca)

        async def tried(posture: Posture) -> list[int | None]:
            return [await kubernetes.try_credential(posture, one) for one in Credential]

        assert await tried(before) == [200, 200]
        operation = await arm.enable_entra(me, Guarded.of(before), TENANT, (ADMINS,), None)
        assert (await session.watch.settled(operation)).succeeded
        workloads = await kubernetes.workloads(before)
        assert [(one.label, one.desired, one.available) for one in workloads if one.name == "web"] == [
            ("Deployment default/web", 2, 2)
        ]
        assert {one.kind for one in workloads} >= {"Deployment", "DaemonSet"}
        operation = await arm.set_local_accounts(me, Guarded.of(await arm.cluster(me)), enabled=False)
        assert (await session.watch.settled(operation)).succeeded
        assert await tried(before) == [200, 200]  # still accepted after local accounts are disabled

        assert (await session.watch.settled(await arm.rotate_certificates(me))).succeeded
        after = await seen(session, "plain")
        assert after.ca != before.ca
        assert await kubernetes.handshake(after.fqdn or "") != serving
        assert await tried(after) == [401, 401]
        assert (await kubernetes.sign_in(after, since=session.ports.clock.now())).everything
        assert [one.ready for one in await kubernetes.nodes(after)] == [True, True]
        session.ports.vault.forget(me)
        assert await tried(after) == [None, None]


async def test_a_ca_that_was_replaced_is_read_again(opened: Opener) -> None:
    async with opened() as session:
        arm = session.ports.arm
        before = await seen(session, "guarded")
        assert (await session.watch.settled(await arm.rotate_certificates(before.cluster))).succeeded
        with pytest.raises(TryLater) as later:
            await session.ports.kubernetes.sign_in(before, since=None)
        assert later.value.code == "CertificateNotTrusted"
        there = await session.ports.kubernetes.sign_in(await arm.cluster(before.cluster), since=None)
        assert there.everything


def held_in_memory_files() -> list[str]:
    return [path for path in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if "memfd" in path]


async def test_no_private_key_remains_in_a_file(opened: Opener) -> None:
    async with opened() as session:
        posture = await seen(session, "legacy")
        await session.ports.arm.hold_admin_credential(posture.cluster)
        assert await session.ports.kubernetes.try_credential(posture, Credential.CERTIFICATE) == 200
        assert held_in_memory_files() == []
