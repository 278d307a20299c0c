"""Keys and settings of one run of kube-apiserver. AKS restarts it when they change."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from azure_sandbox.cluster.credentials import ISSUER, MASTERS, Generation
from azure_sandbox.cluster.real.audit_log import POLICY
from azure_sandbox.cluster.regime import Regime

GUARD = "guard.sandbox"  # the host name in the webhooks' certificate
SERVICES = "10.0.0.0/16"
PLATFORM = "aksService"  # whose requests AKS' audit logs show
AUDIT_LOG = "audit.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Keys and settings of a process. A different recipe needs a new process.

    `generation` is compared by identity. `platform`: the token of AKS' own controllers, which the sandbox plays.
    """

    generation: Generation
    entra: bool
    azure_rbac: bool
    kubernetes_rbac: bool
    platform: str = field(default_factory=lambda: secrets.token_urlsafe(32), compare=False, repr=False)

    @classmethod
    def of(cls, generation: Generation, regime: Regime) -> Recipe:
        """Return the recipe for a cluster's present keys and settings."""
        return cls(
            generation=generation,
            entra=regime.identity != "none",
            azure_rbac=regime.azure_rbac,
            kubernetes_rbac=regime.kubernetes_rbac,
        )

    @property
    def authorization(self) -> str:
        """Return the authorizers in the order in which they are asked."""
        if not self.kubernetes_rbac:
            return "AlwaysAllow"
        return "Node,RBAC,Webhook" if self.azure_rbac else "Node,RBAC"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardAddress:
    """Port, CA and bearer token with which a cluster's webhooks reach the guard."""

    port: int
    authority: bytes
    token: str

    def kubeconfig(self, path: str) -> str:
        """Return the kubeconfig of a webhook as JSON, which is also YAML."""
        cluster = {
            "server": f"https://127.0.0.1:{self.port}{path}",
            "tls-server-name": GUARD,
            "certificate-authority-data": b64encode(self.authority).decode(),
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "guard", "cluster": cluster}],
                "users": [{"name": "apiserver", "user": {"token": self.token}}],
                "contexts": [{"name": "guard", "context": {"cluster": "guard", "user": "apiserver"}}],
                "current-context": "guard",
            }
        )


def write(recipe: Recipe, guard: GuardAddress, folder: Path) -> None:
    """Write the keys into a private folder, which is removed with the sandbox."""
    folder.mkdir(mode=0o700, parents=True)
    generation = recipe.generation
    key = generation.service_account_key
    files: dict[str, bytes] = {
        "ca.crt": generation.authority.certificate_pem,
        "server.crt": generation.server.certificate_pem,
        "server.key": generation.server.key_pem,
        # kube-apiserver refuses PKCS#8: "does not contain any valid RSA or ECDSA public keys"
        "sa.key": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "sa.pub": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "tokens.csv": (
            f'{generation.token},masterclient,,"{MASTERS}"\n{recipe.platform},{PLATFORM},,"{MASTERS}"\n'
        ).encode(),
        "audit-policy.json": json.dumps(POLICY).encode(),
        "sign-in.kubeconfig": guard.kubeconfig("/token").encode(),
        "access.kubeconfig": guard.kubeconfig("/access").encode(),
    }
    for name, content in files.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)


def arguments(recipe: Recipe, folder: Path, *, port: int, etcd: str, prefix: str) -> list[str]:
    """Return kube-apiserver's command line. The guard's answers are not cached: a role assignment counts at once."""
    options = {
        "etcd-servers": etcd,
        "etcd-prefix": prefix,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": str(port),
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": SERVICES,
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "profiling": "false",
        "tls-cert-file": str(folder / "server.crt"),
        "tls-private-key-file": str(folder / "server.key"),
        "client-ca-file": str(folder / "ca.crt"),
        "token-auth-file": str(folder / "tokens.csv"),
        "service-account-issuer": ISSUER,
        "service-account-key-file": str(folder / "sa.pub"),
        "service-account-signing-key-file": str(folder / "sa.key"),
        "authorization-mode": recipe.authorization,
        "audit-policy-file": str(folder / "audit-policy.json"),
        "audit-log-path": str(folder / AUDIT_LOG),
        # these need a kubelet or a controller, which do not run
        "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition,DefaultTolerationSeconds",
    }
    if recipe.entra:
        options |= {
            "authentication-token-webhook-config-file": str(folder / "sign-in.kubeconfig"),
            "authentication-token-webhook-version": "v1",
            "authentication-token-webhook-cache-ttl": "1ms",
        }
    if recipe.azure_rbac and recipe.kubernetes_rbac:
        options |= {
            "authorization-webhook-config-file": str(folder / "access.kubeconfig"),
            "authorization-webhook-version": "v1",
            "authorization-webhook-cache-authorized-ttl": "1ms",
            "authorization-webhook-cache-unauthorized-ttl": "1ms",
        }
    return [f"--{name}={value}" for name, value in options.items()]
