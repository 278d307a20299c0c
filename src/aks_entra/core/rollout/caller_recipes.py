"""What a caller with an old credential is, by its program and name, and what moves it to Microsoft Entra ID.

Each recipe is a section of docs/how-to/move-callers.md. Anybody can send any user agent: a recipe is a hint for people,
and no decision rests on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aks_entra.core.access.kubelogin import SERVER_APP, Mode, SignIn, arguments
from aks_entra.core.cluster import ClusterId
from aks_entra.core.preflight.audit_callers import Caller, Holds

_IN_A_POD: Final = " ".join(
    ("kubelogin", *arguments(SignIn(mode=Mode.WORKLOAD_IDENTITY, tenant_id="TENANT", client_id="CLIENT")))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a caller is (`title`, a heading of the page), and how it moves, in one line. `{…}` is of the cluster."""

    title: str
    move: str

    def move_for(self, cluster: ClusterId) -> str:
        """Return the line with the cluster's names in it."""
        return self.move.format(
            group=cluster.resource_group, name=cluster.name, subscription=cluster.subscription_id, server=SERVER_APP
        )

    @property
    def anchor(self) -> str:
        """The link to its section: `docs/how-to/move-callers.md#argo-cd`."""
        return f"docs/how-to/move-callers.md#{re.sub(r'[^a-z0-9 ]', '', self.title.lower()).replace(' ', '-')}"


_GET_CREDENTIALS: Final = "az aks get-credentials --subscription {subscription} -g {group} -n {name}"
OUTSIDE: Final = Recipe(
    title="A service account from outside",
    move=f"let the program sign in with workload identity (`{_IN_A_POD}`, or a new kubeconfig that calls it: kubelogin "
    "does not convert one with a token), then delete the account's token Secret",
)
UNKNOWN: Final = Recipe(
    title="An unknown program",
    move="find it by its address, and give it a kubeconfig without a secret: `"
    + _GET_CREDENTIALS
    + " -f FILE` and `kubelogin convert-kubeconfig -l workloadidentity --kubeconfig FILE`",
)
FLUX: Final = Recipe(
    title="Flux",
    move="give the Kustomization or HelmRelease `spec.kubeConfig.configMapRef` with `provider: azure` and "
    "`cluster: <ARM id>`, and remove `secretRef`",
)
_BY_PROGRAM: Final[tuple[tuple[str, Recipe], ...]] = (
    (
        r"^aks-entra/",
        Recipe(
            title="aks-entra itself",
            move="find who called: a run that ended before it stored its evidence, aks-entra of another installation, "
            "a plan that read with the admin credential, or a program that sends this user agent",
        ),
    ),
    (
        r"argocd|argo-cd",
        Recipe(
            title="Argo CD",
            move="in the cluster's Secret (label `argocd.argoproj.io/secret-type: cluster`) replace the credential in "
            '`config` by `execProviderConfig` with `"command": "argocd-k8s-auth", "args": ["azure"]`; leave `server`',
        ),
    ),
    (
        r"kustomize-controller|helm-controller|flux",
        FLUX,
    ),
    (
        r"terraform",
        Recipe(
            title="Terraform",
            move="give the providers kubernetes and helm an `exec` block with kubelogin and `--server-id {server}` "
            "instead of `client_certificate`, `client_key` and `token`",
        ),
    ),
    (
        r"rancher|cattle|fleet-?agent",
        Recipe(
            title="Rancher",
            move="register it as a generic cluster (not by its Azure account): Rancher's agent then connects from "
            "inside, with the token of its own pod",
        ),
    ),
    (
        r"azure-?pipelines|azure-?devops|vsts|azp-?agent",
        Recipe(
            title="Azure Pipelines",
            move="in an AzureCLI@2 task with a workload identity service connection: `"
            + _GET_CREDENTIALS
            + " && kubelogin convert-kubeconfig -l azurecli`",
        ),
    ),
    (
        r"github|actions-?runner",
        Recipe(
            title="GitHub Actions",
            move="after azure/login with OIDC: azure/use-kubelogin, then azure/aks-set-context with "
            "`resource-group: {group}`, `cluster-name: {name}`, `use-kubelogin: true` and no `admin: true`",
        ),
    ),
    (
        r"\bhelm\b",
        Recipe(
            title="helm",
            move="helm uses the kubeconfig of kubectl: `"
            + _GET_CREDENTIALS
            + " && kubelogin convert-kubeconfig -l azurecli`",
        ),
    ),
    (
        r"kubectl|k9s|\blens\b|openlens|headlamp",
        Recipe(
            title="kubectl",
            move="a person or a pipeline: `" + _GET_CREDENTIALS + " && kubelogin convert-kubeconfig -l azurecli`",
        ),
    ),
)
RECIPES: Final = (*(recipe for _, recipe in _BY_PROGRAM), OUTSIDE, UNKNOWN)
"""Every recipe, in the order of the page."""


def recipe_of(caller: Caller) -> Recipe:
    """Return what moves a caller: by its program, or by its name, or for service accounts and others in general."""
    for text in (caller.user_agent, caller.username):
        for pattern, recipe in _BY_PROGRAM:
            if re.search(pattern, text, re.IGNORECASE):
                return recipe
    return OUTSIDE if caller.holds is Holds.SERVICE_ACCOUNT else UNKNOWN
