"""The hooks of a fleet file, as data. A plan shows them, and its digest covers them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from string import Formatter
from typing import Any, Final, Literal, TypeAlias, assert_never

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words

KNOWN_BEFORE: Final = ("cluster", "name", "resource_group", "subscription")
"""The fields of templates that are known when the plan is made."""
FIELDS: Final = (*KNOWN_BEFORE, "plan", "server", "ca_fingerprint", "certificate_authority_data")
"""The fields of templates: `{cluster}` is the ARM id, `{server}` the URL of the API server, `{plan}` the plan's digest.

`{ca_fingerprint}` is the SHA-256 of the new CA (hex). `{certificate_authority_data}` is its PEM in base64, as in a
kubeconfig. A CA certificate is public.
"""

Scalar: TypeAlias = str | int | bool
Values: TypeAlias = tuple[tuple[str, Scalar], ...]
"""Names with their values, sorted by name. Texts are templates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateArgoCdSecret:
    """Write the new CA into the secret with which Argo CD in a hub reaches the cluster.

    `cluster` is the hub: an ARM id, or `resource-group/name` in the subscription of the rotated cluster. `name` is a
    template; empty: every secret of the namespace whose server is the cluster's API server.
    """

    cluster: str
    namespace: str = "argocd"
    name: str = ""
    kind: Literal["update_argocd_secret"] = "update_argocd_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFluxSecret:
    """Write the new CA into the Secret with the kubeconfig by which Flux in a hub reaches the cluster.

    `cluster` is the hub, as in `UpdateArgoCdSecret`. `name` (a template) is what `spec.kubeConfig.secretRef` names.
    `key` empty: `value`, or else `value.yaml`.
    """

    cluster: str
    name: str
    namespace: str = "flux-system"
    key: str = ""
    kind: Literal["update_flux_secret"] = "update_flux_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDeployment:
    """Run a Prefect deployment (`flow/deployment`). With `wait`, it has to be completed within `timeout` seconds."""

    deployment: str
    parameters: Values = ()
    wait: bool = True
    timeout: int = 1800
    kind: Literal["run_deployment"] = "run_deployment"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEvent:
    """Send an event to Prefect's server. Its payload also names the cluster and its new CA."""

    event: str
    payload: Values = ()
    kind: Literal["emit"] = "emit"


HubHook: TypeAlias = UpdateArgoCdSecret | UpdateFluxSecret
"""The hooks that write into a secret in a hub."""
Hook: TypeAlias = HubHook | RunDeployment | EmitEvent


def words_of(hook: Hook) -> str:
    """Return a hook as plans and verdicts name it: `update_argocd_secret in hub-weu/hub-01 (namespace argocd)`."""
    match hook:
        case UpdateArgoCdSecret():
            secret = f"secret {hook.name}, " if hook.name else ""
            return f"{hook.kind} in {_hub_name(hook.cluster)} ({secret}namespace {hook.namespace})"
        case UpdateFluxSecret():
            key = f", key {hook.key}" if hook.key else ""
            return f"{hook.kind} in {_hub_name(hook.cluster)} (secret {hook.name}, namespace {hook.namespace}{key})"
        case RunDeployment():
            waits = f"waits up to {in_words(hook.timeout)}" if hook.wait else "does not wait"
            return f"{hook.kind} {hook.deployment} ({_shown(hook.parameters)}{waits})"
        case EmitEvent():
            payload = _shown(hook.payload).removesuffix("; ")
            return f"{hook.kind} {hook.event}" + (f" ({payload})" if payload else "")
        case _:
            assert_never(hook)


def bound(hook: Hook) -> dict[str, Any]:
    """Return what a plan's digest covers of a hook: all of it."""
    return asdict(hook)


def hub_of(hook: HubHook, cluster: ClusterId) -> ClusterId:
    """Return the hub of a cluster. Raises `ValueError` if the hook's text names no cluster."""
    if hook.cluster.startswith("/"):
        return ClusterId.parse(hook.cluster)
    group, _, name = hook.cluster.partition("/")
    if not group or not name or "/" in name:
        raise ValueError(f"{hook.cluster!r} names no cluster")
    return ClusterId(subscription_id=cluster.subscription_id, resource_group=group, name=name)


def fields_in(template: str) -> tuple[str, ...]:
    """Return the names in braces of a template, in their order. `{{` is a brace.

    Raises:
        ValueError: a brace is not closed, or a field has a format of its own.
    """
    found = []
    for _, name, spec, conversion in Formatter().parse(template):
        if spec or conversion:
            raise ValueError(f"{{{name}}} has a format")
        if name is not None:
            found.append(name)
    return tuple(found)


def filled(value: Scalar, known: Mapping[str, str]) -> Scalar:
    """Return a value with the fields of its template filled in. Numbers and booleans stay as they are.

    Raises:
        ValueError: the template has a field that is not known.
    """
    if not isinstance(value, str):
        return value
    if unknown := [name for name in fields_in(value) if name not in known]:
        raise ValueError(f"{{{unknown[0]}}} is not known")
    return "".join(text + known.get(name or "", "") for text, name, _, _ in Formatter().parse(value))


def filled_all(values: Values, known: Mapping[str, str]) -> dict[str, Scalar]:
    """Return names with their values, filled in. Raises as `filled`."""
    return {name: filled(value, known) for name, value in values}


def before_rotation(cluster: ClusterId) -> dict[str, str]:
    """Return what templates know of a cluster before its rotation."""
    return {
        "cluster": cluster.resource_id,
        "name": cluster.name,
        "resource_group": cluster.resource_group,
        "subscription": cluster.subscription_id,
    }


def after_rotation(cluster: ClusterId, *, plan: str, fqdn: str, fingerprint: str, pem: str) -> dict[str, str]:
    """Return what templates know of a cluster after its rotation. `pem` is the new CA certificate."""
    return {
        **before_rotation(cluster),
        "plan": plan,
        "server": f"https://{fqdn}",
        "ca_fingerprint": fingerprint,
        "certificate_authority_data": base64.b64encode(pem.encode()).decode("ascii"),
    }


def _hub_name(cluster: str) -> str:
    return str(ClusterId.parse(cluster)) if cluster.startswith("/") else cluster


def _shown(values: Values) -> str:
    return "".join(f"{name}: {value}; " for name, value in values)
