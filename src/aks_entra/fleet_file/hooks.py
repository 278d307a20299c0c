"""What the fleet file says about the time after a rotation: hooks, each with one key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import span
from aks_entra.core.hooks.model import (
    FIELDS,
    KNOWN_BEFORE,
    EmitEvent,
    Hook,
    RunDeployment,
    UpdateArgoCdSecret,
    UpdateFluxSecret,
    fields_in,
    hub_of,
)
from aks_entra.fleet_file.errors import Mistake, Mistakes
from aks_entra.fleet_file.fields import Named, Span
from aks_entra.fleet_file.part import Part

MAX_HOOKS: Final = 20
LONGEST: Final = "2h"
LONGEST_TEXT: Final = 2000
_ANY: Final = ClusterId(subscription_id="", resource_group="any", name="any")
_GROUP: Final = re.compile(r"[-\w.()]*[-\w()]")
_CLUSTER: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?")
_IN_SECRET_NAMES: Final = tuple(one for one in KNOWN_BEFORE if one != "cluster")  # the ARM id has slashes
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_DEPLOYMENT: Final = re.compile(r"[^/\s][^/]*/[^/]*[^/\s]|[^/\s]/[^/\s]")
_EVENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OURS: Final = ("prefect.", "aks-entra.")


def _hub(text: str) -> str:
    try:
        hub = hub_of(UpdateArgoCdSecret(cluster=text), _ANY)
        if not (_GROUP.fullmatch(hub.resource_group) and _CLUSTER.fullmatch(hub.name)):
            raise ValueError(text)  # noqa: TRY301 - it is as little a name as what `hub_of` refuses
    except ValueError:
        raise Mistake(
            "does not name a cluster", "write `resource-group/name`, or the ARM id of the hub's cluster", value=text
        ) from None
    return text


def _template(text: str, known: tuple[str, ...]) -> str:
    try:
        unknown = [name for name in fields_in(text) if name not in known]
    except ValueError:
        raise Mistake("is not a template", "close each brace; write `{{` for a brace itself", value=text) from None
    if unknown:
        fields = ", ".join(f"{{{name}}}" for name in known)
        raise Mistake(f"{{{unknown[0]}}} is not a field of templates", f"write one of {fields}, or `{{{{` for a brace")
    return text


def _value(value: Any) -> Any:
    if isinstance(value, bool | int):
        return value
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Mistake(
            f"is neither a text of at most {LONGEST_TEXT} characters nor a whole number, true or false",
            "put other values into the deployment's own defaults",
        )
    return _template(value, FIELDS)


def _secret_name(text: str) -> str:
    _template(text, _IN_SECRET_NAMES)
    if not _NAME.fullmatch(re.sub(r"{\w+}", "x", text)):
        raise Mistake(
            "is not the name of a secret",
            'write a name or a template, such as "{name}" or "cluster-{name}"',
            value=text,
        )
    return text


def _namespace(text: str) -> str:
    if not _NAME.fullmatch(text) or "." in text:
        raise Mistake("is not a namespace", "write lower-case letters, digits and dashes, such as argocd", value=text)
    return text


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise Mistake("is not a key of a secret", "write `secretRef.key`, such as value.yaml", value=text)
    return text


def _deployment(text: str) -> str:
    if not _DEPLOYMENT.fullmatch(text):
        raise Mistake(
            "is not the name of a deployment",
            "write flow/deployment, as `prefect deployment ls` prints it",
            value=text,
        )
    return text


def _event(text: str) -> str:
    if not _EVENT.fullmatch(text):
        raise Mistake("is not the name of an event", "use letters, digits, dots, dashes and underscores", value=text)
    if text.casefold().startswith(_OURS):
        raise Mistake(
            "is the name of an event of Prefect or of this program: an automation would take it for theirs",
            "begin it with a name of your own, such as contoso.",
            value=text,
        )
    return text


def _within(text: str) -> str:
    if span(text) > span(LONGEST):
        raise Mistake(f"is longer than {LONGEST}", f"write {LONGEST} or less, or `wait: false`", value=text)
    return text


Hub = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_hub)]
Namespace = Annotated[str, Field(min_length=1, max_length=63), AfterValidator(_namespace)]
SecretName = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_secret_name)]
Parameters = Annotated[dict[Named, Annotated[str | int | bool, BeforeValidator(_value)]], Field(max_length=50)]


class UpdateArgoCdSecretFile(Part):
    """Writes the new CA into the cluster secret of Argo CD in a hub. Nothing else in the secret changes."""

    cluster: Hub
    """The hub: `resource-group/name` in the subscription of the rotated cluster, or its ARM id. The prover signs in."""
    namespace: Namespace = "argocd"
    """The namespace of Argo CD."""
    name: SecretName | None = None
    """Name of the secret, or a template such as "{name}". Default: each cluster secret whose `server` is the cluster's
    API server."""


class UpdateFluxSecretFile(Part):
    """Writes the new CA into a kubeconfig of Flux in a hub. Nothing else in the Secret changes."""

    cluster: Hub
    """The hub in which Flux runs, as above. The prover signs in."""
    namespace: Namespace = "flux-system"
    """The namespace of the Kustomization or HelmRelease, and so of its Secret."""
    name: SecretName
    """The Secret that `spec.kubeConfig.secretRef` names, or a template such as "{name}"."""
    key: Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_key)] | None = None
    """The key that `spec.kubeConfig.secretRef` names. Default: `value`, or else `value.yaml`, as in Flux."""


class RunDeploymentFile(Part):
    """Runs a Prefect deployment once for each cluster and plan."""

    deployment: Annotated[Named, AfterValidator(_deployment)]
    """The deployment, as flow/deployment."""
    parameters: Parameters = Field(default_factory=dict)
    """Parameters of the run. Texts are templates, such as "{cluster}"."""
    wait: StrictBool = True
    """Whether the hook is done when the run is completed. `false`: when it is started."""
    timeout: Annotated[Span, AfterValidator(_within)] = "30m"
    """How long to wait for the run, at most 2h. Then the hook has failed, and the run continues."""


class EmitFile(Part):
    """Sends an event to Prefect's server, about the cluster and with its new CA."""

    event: Annotated[Named, AfterValidator(_event)]
    """Name of the event. It must not begin with `prefect.` or `aks-entra.`."""
    payload: Parameters = Field(default_factory=dict)
    """Further values in the payload. Texts are templates."""


class HookFile(Part):
    """What happens after the rotation of each cluster. A hook has exactly one key."""

    update_argocd_secret: UpdateArgoCdSecretFile | None = None
    """Writes the new CA into Argo CD's secret in a hub."""
    update_flux_secret: UpdateFluxSecretFile | None = None
    """Writes the new CA into a kubeconfig of Flux in a hub."""
    run_deployment: RunDeploymentFile | None = None
    """Runs a Prefect deployment."""
    emit: EmitFile | None = None
    """Sends an event to Prefect's server."""

    @model_validator(mode="after")
    def _is_one(self) -> HookFile:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            what = f"this hook has the keys {' and '.join(given)}" if given else "this hook has no key"
            *kinds, last = type(self).model_fields
            remedy = f"write one of {', '.join(kinds)} or {last}, and an entry of its own for each"
            raise Mistakes([Mistake(what, remedy)])
        return self

    def to_hook(self) -> Hook:
        """Return the same as a core value."""
        if (argocd := self.update_argocd_secret) is not None:
            return UpdateArgoCdSecret(cluster=argocd.cluster, namespace=argocd.namespace, name=argocd.name or "")
        if (flux := self.update_flux_secret) is not None:
            return UpdateFluxSecret(cluster=flux.cluster, namespace=flux.namespace, name=flux.name, key=flux.key or "")
        if (run := self.run_deployment) is not None:
            return RunDeployment(
                deployment=run.deployment,
                parameters=tuple(sorted(run.parameters.items())),
                wait=run.wait,
                timeout=int(span(run.timeout).total_seconds()),
            )
        assert self.emit is not None  # noqa: S101 - `_is_one` says so
        return EmitEvent(event=self.emit.event, payload=tuple(sorted(self.emit.payload.items())))


HookFiles = Annotated[tuple[HookFile, ...], Field(max_length=MAX_HOOKS)]


def listed_twice(hooks: HookFiles, *others: HookFile, at: tuple[str | int, ...] = ("after",)) -> Iterator[Mistake]:
    """Yield a mistake for each hook that is listed before, or among the others. `at`: where the hooks are."""
    before = [hook.to_hook() for hook in others]
    for place, one in enumerate(hooks):
        hook = one.to_hook()
        if hook in before:
            yield Mistake("this hook is listed twice", "remove one of the two", at=(*at, place))
        before.append(hook)
