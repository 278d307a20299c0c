"""Flux's kubeconfig Secrets in a hub, with the real Kubernetes client over HTTPS to the sandbox."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aks_entra.adapters.kubernetes.api_server import ApiServers
from aks_entra.adapters.kubernetes.secrets import replace_value
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.hubs import FluxSecret
from azure_sandbox.server import Sandbox
from tests.contract.hub_cluster import SECRETS, HubCluster
from tests.contract.small_world import READER, TENANT, Opener, cluster

SERVER = "https://shop.hcp.westeurope.azmk8s.io"
ROTATED = "2026-11-24T08:00:00Z"
EXEC = "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: kubelogin, args: [get-token]}}"
ENDED = "its bearer token is from before the rotation, or does not say when it was issued"


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, *, ca: bool = False
) -> str:
    """A certificate as in a kubeconfig (PEM in base64)."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
    builder = builder.public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    made = builder.sign(signer, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def admin(signer: ec.EllipticCurvePrivateKey) -> str:
    """The user of an admin kubeconfig under the CA with this key."""
    mine = certificate("masterclient", ec.generate_private_key(ec.SECP256R1()), signer)
    return f"{{client-certificate-data: {mine}, client-key-data: c2VjcmV0}}"


def token(issued: datetime) -> str:
    return jwt.encode({"iat": int(issued.timestamp())}, "k" * 32)


OLD_KEY, NEW_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
OLD, NEW = (certificate("ca", key, key, ca=True) for key in (OLD_KEY, NEW_KEY))
ALL: dict[str, str] = {"namespace": "flux-system", "name": "shop", "key": "", "server": SERVER}
CA: dict[str, str] = {"ca_data": NEW, "rotated_at": ROTATED}


def kubeconfig(user: str = EXEC, *, server: str = SERVER, ca: str = OLD) -> str:
    return f"""\
# written by the platform team
apiVersion: v1
kind: Config
current-context: shop
clusters:
  - name: pay
    cluster: {{server: "https://pay.hcp.westeurope.azmk8s.io", certificate-authority-data: {OLD}}}
  - name: shop
    cluster:
      server: {server}   # the public name
      certificate-authority-data: {ca}
      tls-server-name: shop
contexts:
  - {{name: shop, context: {{cluster: shop, user: shop}}}}
users:
  - name: shop
    user: {user}
"""


class Hub(HubCluster):
    """The cluster `guarded`, in which Flux keeps its Secrets."""

    def put(self, text: str, *, key: str = "value", name: str = "shop", **metadata: Any) -> None:
        document = {
            "metadata": {"name": name, "namespace": "flux-system", **metadata},
            "type": "Opaque",
            "data": {key: base64.b64encode(text.encode()).decode(), "other": "b3RoZXI="},
        }
        self.store.put(SECRETS, document, self.now())

    def secret(self) -> dict[str, Any]:
        found = self.store.get(SECRETS, "flux-system", "shop")
        assert found is not None
        return found

    def text(self, key: str = "value") -> str:
        return base64.b64decode(self.secret()["data"][key]).decode()

    async def seen(self, key: str = "") -> FluxSecret | None:
        return await self.hubs.flux_secret(self.posture, namespace="flux-system", name="shop", key=key)

    async def update(self, **how: str) -> FluxSecret | None:
        return await self.hubs.update_flux_secret(self.posture, **{**ALL, **CA, **how})


@pytest.fixture
async def hub(box: Sandbox, opened: Opener) -> AsyncIterator[Hub]:
    async with opened() as session:
        found = Hub(box, session, await session.ports.arm.cluster(cluster("guarded")))
        found.store.put(("", "namespaces"), {"metadata": {"name": "flux-system"}}, box.clock.now())
        yield found


@pytest.mark.parametrize(("key", "asked"), [("value", ""), ("value.yaml", ""), ("kubeconfig", "kubeconfig")])
async def test_the_kubeconfig_gets_the_new_ca_of_its_cluster_and_nothing_else_changes(
    hub: Hub, key: str, asked: str
) -> None:
    hub.put(kubeconfig(server=f"{SERVER}:443"), key=key, labels={"team": "shop"})
    before = hub.secret()
    assert await hub.seen(asked) == FluxSecret(server=f"{SERVER}:443")
    assert await hub.update(key=asked) == FluxSecret(server=f"{SERVER}:443", changed=True)
    assert hub.text(key) == kubeconfig(server=f"{SERVER}:443", ca=NEW)
    after = hub.secret()
    assert {**after["data"], key: ""} == {**before["data"], key: ""}
    assert after["metadata"]["labels"] == {"team": "shop"}
    assert await hub.update(key=asked) == FluxSecret(server=f"{SERVER}:443")
    assert hub.secret() == after


async def test_a_secret_of_another_cluster_and_one_without_a_kubeconfig_are_not_written(hub: Hub) -> None:
    assert await hub.update() is None
    assert await hub.seen() is None
    hub.put(kubeconfig(server="https://pay.hcp.westeurope.azmk8s.io"))
    before = hub.secret()
    with pytest.raises(Refused, match=f"the current context of the secret flux-system/shop is not for {SERVER}") as no:
        await hub.update()
    assert no.value.code == "OtherSecret"
    hub.put(kubeconfig(), key="elsewhere", name="wrong")
    for key, said in (("", "has no key value or value.yaml"), ("kubeconfig", "has no key kubeconfig")):
        with pytest.raises(Refused, match=said) as no:
            await hub.update(name="wrong", key=key)
        assert no.value.code == "NoKubeconfig"
    assert hub.secret() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("users: [s3cret", "it is not YAML"),
        (kubeconfig().replace("tls-server-name: shop", "insecure-skip-tls-verify: true"), "trusts any server"),
    ],
)
async def test_a_kubeconfig_that_cannot_take_a_ca_stays_and_is_not_shown(hub: Hub, text: str, why: str) -> None:
    hub.put(text)
    with pytest.raises(Refused, match=f"the secret flux-system/shop was not changed: .*{why}") as refused:
        await hub.update()
    assert refused.value.code == "SecretUnreadable"
    assert "s3cret" not in f"{refused.value} {refused.value.__cause__}"
    assert hub.text() == text


@pytest.mark.parametrize(
    ("user", "before", "after"),
    [
        (admin(OLD_KEY), "the rotation ends its client certificate", "its client certificate is not from the new CA"),
        (admin(NEW_KEY), "the rotation ends its client certificate", ""),
        ("{client-certificate-data: bm8=}", "the rotation ends its client certificate", "not from the new CA"),
        ("{token: an-opaque-admin-token}", "the rotation ends its bearer token", ENDED),
        (f"{{token: {token(datetime(2026, 11, 24, 7, tzinfo=UTC))}}}", "the rotation ends its bearer token", ENDED),
        (f"{{token: {token(datetime(2026, 11, 24, 9, tzinfo=UTC))}}}", "the rotation ends its bearer token", ""),
        ("{tokenFile: /var/run/token}", "in a file of Flux's pods", "in a file of Flux's pods"),
        ("{username: a, password: b}", "no credential that a cluster takes", "no credential that a cluster takes"),
        ("{auth-provider: {name: azure}}", "", ""),
    ],
)
async def test_a_credential_with_which_flux_cannot_sign_in_is_named_and_kept(
    hub: Hub, user: str, before: str, after: str
) -> None:
    hub.put(kubeconfig(user))
    seen, done = await hub.seen(), await hub.update()
    assert seen is not None
    assert done is not None
    assert done.changed
    for found, expected in ((seen.problem, before), (done.problem, after)):
        assert expected in found
        assert bool(found) is bool(expected)
    assert hub.text() == kubeconfig(user, ca=NEW)


async def test_a_secret_that_a_kustomization_applies_is_left_to_its_source(hub: Hub) -> None:
    owned = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in (("name", "hubs"), ("namespace", "flux"))}
    hub.put(kubeconfig(), labels=owned)
    assert await hub.seen() == FluxSecret(server=SERVER, problem="Kustomization flux/hubs writes it from its source")
    with pytest.raises(Refused, match="Kustomization flux/hubs writes it from its source, and would undo it") as no:
        await hub.update()
    assert no.value.code == "SecretManaged"
    assert hub.text() == kubeconfig()
    hub.put(kubeconfig(ca=NEW), labels=owned)
    assert await hub.update() == FluxSecret(server=SERVER)
    for key, value in (("reconcile", "disabled"), ("ssa", "Ignore")):
        hub.put(kubeconfig(), labels=owned, annotations={f"kustomize.toolkit.fluxcd.io/{key}": value})
        assert await hub.update() == FluxSecret(server=SERVER, changed=True)


async def test_a_secret_of_flux_that_somebody_wrote_meanwhile_is_not_overwritten(hub: Hub, opened: Opener) -> None:
    hub.put(kubeconfig())
    read = hub.secret()
    hub.put(kubeconfig("{token: new}"))
    async with opened() as session:
        servers: ApiServers = session.ports.kubernetes  # type: ignore[assignment]  # the adapter behind the port
        async with servers.opened(hub.posture) as api:
            with pytest.raises(TryLater, match="somebody wrote the secret flux-system/shop just now"):
                await replace_value(api, "flux-system", read, "value", kubeconfig(ca=NEW))
    assert hub.text() == kubeconfig("{token: new}")


async def test_a_prover_without_the_right_to_flux_is_told_which_it_needs(
    hub: Hub, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(kubeconfig())
    monkeypatch.setenv("PROVER_SECRET", "the-reader")
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="PROVER_SECRET")
    async with opened(spec) as session:
        assert session.ports.hubs is not None
        with pytest.raises(Refused, match="the prover needs an admin group") as refused:
            await session.ports.hubs.update_flux_secret(hub.posture, **ALL, **CA)
    assert refused.value.status == 403
    assert hub.text() == kubeconfig()
