"""Secrets with a kubeconfig of Flux in a hub. What is in a Secret stays in this module.

Labels and annotations: https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aks_entra.adapters.kubernetes.api_server import ApiServers
from aks_entra.adapters.kubernetes.flux_kubeconfig import FluxKubeconfig, read_kubeconfig
from aks_entra.adapters.kubernetes.secrets import certificate_ended, decoded, read_secret, replace_value, token_ended
from aks_entra.core.cluster import Posture
from aks_entra.core.hooks.argocd import same_server
from aks_entra.errors import Refused
from aks_entra.ports.hubs import FluxSecret

KEYS: Final = ("value", "value.yaml")
"""The keys that Flux tries if `secretRef` names none."""
OWNER: Final = "kustomize.toolkit.fluxcd.io"
"""The prefix of the labels by which a Kustomization marks what it applies."""

_NO_CREDENTIAL: Final = "its user has no credential that a cluster takes"
_IN_FILE: Final = "its credential is in a file of Flux's pods, so nobody can tell whether it works"


class FluxSecrets:
    """Reads and writes the Secrets as the prover."""

    def __init__(self, servers: ApiServers) -> None:
        self._servers = servers

    async def flux_secret(self, hub: Posture, *, namespace: str, name: str, key: str) -> FluxSecret | None:
        """Return the Secret, and which of its credentials a rotation will end. None: there is none."""
        async with self._servers.opened(hub) as api:
            secret = await read_secret(api, namespace, name)
            if secret is None:
                return None
            held = _kubeconfig(secret, _key(secret, namespace, name, key), f"{namespace}/{name}")
            owner = _owner(secret)
            problem = f"{owner} writes it from its source" if owner else _ends(held)
            return FluxSecret(server=held.server, problem=problem)

    async def update_flux_secret(
        self, hub: Posture, *, namespace: str, name: str, key: str, server: str, ca_data: str, rotated_at: str
    ) -> FluxSecret | None:
        """Write the CA into the Secret. One that somebody wrote meanwhile is left: TryLater."""
        title = f"{namespace}/{name}"
        async with self._servers.opened(hub) as api:
            secret = await read_secret(api, namespace, name)
            if secret is None:
                return None
            place = _key(secret, namespace, name, key)
            held = _kubeconfig(secret, place, title)
            if not same_server(held.server, server):
                raise Refused(
                    f"the current context of the secret {title} is not for {server}",
                    remedy="check `name` and `key` of the hook: Flux uses the current context",
                    code="OtherSecret",
                )
            try:
                text = held.with_authority(ca_data)
            except ValueError as error:
                raise _unchanged(title, error) from None
            changed = text != held.text
            if changed and (owner := _owner(secret)):
                raise Refused(
                    f"the secret {title} was not changed: {owner} writes it from its source, and would undo it",
                    remedy="write the new CA there, then `aks-entra migrate --resume`; or annotate the secret with "
                    f"`{OWNER}/reconcile: disabled`",
                    code="SecretManaged",
                )
            if changed:
                await replace_value(api, namespace, secret, place, text)
            return FluxSecret(server=held.server, changed=changed, problem=_problem(held, ca_data, rotated_at))


def _key(secret: Mapping[str, Any], namespace: str, name: str, key: str) -> str:
    data = secret.get("data") or {}
    found = next((one for one in ((key,) if key else KEYS) if one in data), None)
    if found is None:
        raise Refused(
            f"the secret {namespace}/{name} has no key {key or ' or '.join(KEYS)}",
            remedy="set `key` of the hook to `spec.kubeConfig.secretRef.key` of the Kustomization or HelmRelease",
            code="NoKubeconfig",
        )
    return found


def _kubeconfig(secret: Mapping[str, Any], key: str, title: str) -> FluxKubeconfig:
    try:
        return read_kubeconfig(decoded(secret, key))
    except ValueError as error:
        raise _unchanged(title, error) from None


def _unchanged(title: str, error: ValueError) -> Refused:
    return Refused(
        f"the secret {title} was not changed: {error}",
        remedy="correct the kubeconfig in it: see `spec.kubeConfig` in Flux's documentation",
        code="SecretUnreadable",
    )


def _owner(secret: Mapping[str, Any]) -> str:
    """Return which Kustomization would undo a change of the Secret. Empty: none is known."""
    labels, notes = (secret["metadata"].get(one) or {} for one in ("labels", "annotations"))
    name, ssa = labels.get(f"{OWNER}/name"), notes.get(f"{OWNER}/ssa")
    if not name or notes.get(f"{OWNER}/reconcile") == "disabled" or ssa in {"IfNotPresent", "Ignore"}:
        return ""
    return f"Kustomization {labels.get(f'{OWNER}/namespace', '')}/{name}"


def _ends(held: FluxKubeconfig) -> str:
    """Return which credential a rotation will end, as a problem."""
    named = "client certificate" if held.certificate else "bearer token" if held.token else ""
    return f"the rotation ends its {named}" if named else _unknown(held)


def _problem(held: FluxKubeconfig, ca_data: str, rotated_at: str) -> str:
    """Return why Flux will not sign in after the rotation. What cannot be told counts as ended."""
    if held.certificate and certificate_ended(held.certificate, ca_data):
        return "its client certificate is not from the new CA"
    if held.token and token_ended(held.token, rotated_at):
        return "its bearer token is from before the rotation, or does not say when it was issued"
    return "" if held.certificate or held.token else _unknown(held)


def _unknown(held: FluxKubeconfig) -> str:
    if held.command:
        return ""
    return _IN_FILE if held.in_file else _NO_CREDENTIAL
