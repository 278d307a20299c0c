"""The same work in a shell: az alone, which proves nothing, and az with kubectl commands that check what we check."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import figures, meter, traffic
from bench.place import ADMINS, GROUPS, Place

GROUP = GROUPS[1]
LOGIN = (
    'az login --service-principal -u "$AZURE_CLIENT_ID" -p "$AZURE_CLIENT_SECRET" --tenant "$AZURE_TENANT_ID" -o none'
)
ENABLE = f"az aks update $at --enable-aad --aad-admin-group-object-ids {ADMINS} -o none"
DISABLE = "az aks update $at --disable-local-accounts -o none"
ROTATE = "az aks rotate-certs $at --yes -o none"
LOOK = "kubectl get nodes\nkubectl get deployments,daemonsets,statefulsets -A"
SIGN_IN = """\
az aks get-credentials $at --overwrite-existing
kubelogin convert-kubeconfig -l spn --client-id "$AZURE_CLIENT_ID" --tenant-id "$AZURE_TENANT_ID"
kubectl auth whoami
kubectl auth can-i '*' '*' --all-namespaces"""
HOLD = """\
az aks get-credentials $at --admin --overwrite-existing --file old
cp old certificate
kubectl --kubeconfig certificate config unset users.clusterAdmin_${group}_$name.token
cp old token
kubectl --kubeconfig token config unset users.clusterAdmin_${group}_$name.client-certificate-data
kubectl --kubeconfig token config unset users.clusterAdmin_${group}_$name.client-key-data"""
REFUSED = 'refused() { if "$@"; then echo "not refused: $*" >&2; exit 9; fi; }'
TRY = "for held in certificate token; do kubectl --kubeconfig $held get nodes; done"
DEAD = """\
authority='{{index (index .clusters 0).cluster "certificate-authority-data" | base64decode}}'
kubectl config view --raw --minify -o go-template="$authority" >ca.pem
for held in certificate token; do refused kubectl --kubeconfig $held --certificate-authority ca.pem get nodes; done"""
REFUSAL = "refused az aks get-credentials $at --admin --overwrite-existing --file never"

WRITES = (ENABLE, DISABLE, ROTATE)
PROVEN = (
    *("az aks show $at -o none", ENABLE, SIGN_IN, HOLD, LOOK),
    *(DISABLE, REFUSAL, TRY, ROTATE),
    *(SIGN_IN, LOOK, DEAD, REFUSAL, "az aks show $at -o none"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A manual way: the clients that it needs, and the lines that are typed for each cluster.

    `gain`: how many times less client CPU we want to need.
    """

    name: str
    proves: str
    clients: tuple[str, ...]
    lines: tuple[str, ...]
    gain: float


WAYS = (
    Way(name="az", proves="the writes alone", clients=("az",), lines=WRITES, gain=10.0),
    Way(
        name="az+kubectl",
        proves="the same proofs",
        clients=("az", "kubectl", "kubelogin"),
        lines=PROVEN,
        gain=30.0,
    ),
)


def possible() -> Iterator[Way]:
    """Yield the ways whose clients are on PATH."""
    return (way for way in WAYS if all(map(shutil.which, way.clients)))


async def sign_in(here: Place) -> None:
    """Sign in and let az build its caches. This is not measured."""
    await here.type(f"{LOGIN}\naz aks show -g {GROUP} -n {GROUP}-001 -o none")


async def walk(here: Place, way: Way, clusters: range) -> figures.ByHand:
    """Type a way's lines for the clusters with these numbers, one after the other, and return the cost."""
    names = " ".join(f"{GROUP}-{number:03}" for number in clusters)
    lines = (REFUSED, f"group={GROUP}", f"for name in {names}; do", 'at="-g $group -n $name"', *way.lines, "done")
    cpu, requests, began = meter.children_cpu(), len(here.exchanges), time.monotonic()
    await here.type("\n".join(lines))
    return figures.ByHand(
        name=way.name,
        proves=way.proves,
        clusters=len(clusters),
        cpu=meter.children_cpu() - cpu,
        wall=time.monotonic() - began,
        requests=traffic.traffic(here.exchanges[requests:], len(clusters)),
        gain=way.gain,
    )
