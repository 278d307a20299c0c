"""Leaked kubeconfigs of a real kube-apiserver, over several rotations: each is named rightly."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aks_entra.adapters.credential_file import read_credentials
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.found_credentials import Kind, Life
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.core.planning.fleet import Selector
from aks_entra.host.private_file import PrivateFile
from aks_entra.planning.found_credentials import trace
from aks_entra.planning.selection import Selection
from aks_entra.probes.checks import stamp
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from tests.control_plane.caller import Caller
from tests.control_plane.real_sandbox import GUARDED, PLAIN, SUBSCRIPTION, path_of, real_sandbox

pytestmark = pytest.mark.control_plane

NODES = "/api/v1/nodes"
NAMES = ("plain", "guarded")
ROTATIONS = 2


async def test_files_of_every_generation_belong_to_their_cluster_and_only_the_last_ones_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_sandbox(tmp_path, PLAIN, GUARDED) as caller:
        for name, value in caller.sandbox.environment.items():
            monkeypatch.setenv(name, value)
        leaked: list[tuple[str, int, bytes]] = []
        keys = {}
        records: list[Record] = []  # what a migration keeps at the moment at which it holds the credentials
        async with open_session(Settings(poll_interval=0.2, look_interval=0.2)) as session:
            for round_ in range(ROTATIONS + 1):
                for name in NAMES:
                    file = tmp_path / f"{name}-{round_}.kubeconfig"
                    cluster = ClusterId(subscription_id=SUBSCRIPTION, resource_group="shop", name=name)
                    await session.ports.arm.hand_out_admin_kubeconfig(cluster, PrivateFile.reserve(file))
                    leaked.append((name, round_, file.read_bytes()))
                    keys[name, round_] = caller.generation(name)
                    records += kept(session, cluster, file.read_text())
                    if round_ < ROTATIONS:
                        await caller.arm("POST", f"{path_of(name)}/rotateClusterCertificates")
            wanted = Selection(selectors=(Selector(tenant=True),), fresh=False)
            for name, round_, content in leaked:
                answers = await trace(session.ports, read_credentials(content), wanted, ())
                found = {one.found.kind: one for one in answers}
                for one in found.values():
                    assert one.posture is not None
                    assert one.posture.cluster.name == name, one.known_by
                heard = await caller.ask(name, NODES, certificate=keys[name, round_])
                says = found[Kind.CERTIFICATE].judgement
                assert (says.life, heard.status) in {(Life.ALIVE, 200), (Life.DEAD, 401)}, says
                token = found[Kind.STATIC_TOKEN].judgement
                heard = await caller.ask(name, NODES, token=keys[name, round_].token)
                # that a rotation ends a token too is proven only where a report tried one
                assert (token.life, heard.status) in {(Life.ALIVE, 200), (Life.UNKNOWN, 401)}, token
                for alone, kind in (
                    (certificate_of(content), Kind.CERTIFICATE),
                    (token_of(content), Kind.STATIC_TOKEN),
                ):
                    refused = [await refusals(caller, each) for each in NAMES]
                    (answer,) = await trace(session.ports, read_credentials(alone, records), wanted, tuple(records))
                    assert [await refusals(caller, each) for each in NAMES] == refused  # nothing was presented
                    assert answer.found.kind is kind
                    assert answer.posture is not None, answer.judgement
                    assert answer.posture.cluster.name == name, answer.known_by
                    assert answer.served is not None
                    assert (answer.served.number, answer.served.known) == (round_ + 1, ROTATIONS + 1)
                    assert (answer.judgement.life is Life.ALIVE) == (round_ == ROTATIONS), answer.judgement


async def refusals(caller: Caller, name: str) -> float:
    """Return how many credentials the API server did not accept, by its own count."""
    shown = await caller.ask(name, "/metrics", certificate=caller.generation(name), accept="text/plain")
    assert shown.status == 200, shown.message
    lines = [one for one in str(shown.body).splitlines() if one.startswith("authentication_attempts{")]
    assert lines
    return sum(float(one.rpartition(" ")[2]) for one in lines if 'result="success"' not in one)


def kept(session: Session, cluster: ClusterId, kubeconfig: str) -> list[Record]:
    """Return the records of a CA and of a static token, as a report has them."""
    vault = session.ports.vault
    held = vault.hand_in(cluster, kubeconfig)
    vault.forget(cluster)
    (context,) = YAML(typ="safe").load(kubeconfig)["clusters"]
    pem = base64.b64decode(context["cluster"]["certificate-authority-data"]).decode()
    seen = partial(Record, cluster=cluster.key, at=stamp(session.ports.clock), ca=held.ca.fingerprint, source="report")
    return [
        seen(sighting=Sighting.AUTHORITY, certificate=pem),
        seen(sighting=Sighting.TOKEN, salt=held.salt, token_hash=held.token_hash),
    ]


def certificate_of(kubeconfig: bytes) -> bytes:
    return base64.b64decode(YAML(typ="safe").load(kubeconfig)["users"][0]["user"]["client-certificate-data"])


def token_of(kubeconfig: bytes) -> bytes:
    return str(YAML(typ="safe").load(kubeconfig)["users"][0]["user"]["token"]).encode()
