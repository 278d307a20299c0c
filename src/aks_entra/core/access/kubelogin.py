"""The arguments of `kubelogin get-token` for each way to sign in, and why a cluster accepts none of them.

Sources: kubelogin 0.2.19 (modes and their options), AKS' page on kubelogin authentication. No mode writes a secret:
service principals read theirs from the environment (AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from aks_entra.core.cluster import Identity, Posture

SERVER_APP: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""Azure Kubernetes Service AAD Server: the audience of every token for an AKS API server."""
CLIENT_APP: Final = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
"""Azure Kubernetes Service AAD Client: the public client that people sign in with."""


class Mode(StrEnum):
    """A way to sign in, with kubelogin's name for it."""

    INTERACTIVE = "interactive"
    DEVICE_CODE = "devicecode"
    AZURE_CLI = "azurecli"
    SERVICE_PRINCIPAL = "spn"
    WORKLOAD_IDENTITY = "workloadidentity"
    MANAGED_IDENTITY = "msi"


ENVIRONMENT: Final[dict[Mode, tuple[str, ...]]] = {
    Mode.SERVICE_PRINCIPAL: (
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH) where kubectl runs",
    ),
    Mode.WORKLOAD_IDENTITY: (
        "AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE and AZURE_AUTHORITY_HOST where kubectl runs",
    ),
}
"""The environment variables that a mode reads. They are shown to the person and never written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A way to sign in, with its tenant and its application or managed identity."""

    mode: Mode
    tenant_id: str
    client_id: str = ""


def arguments(sign_in: SignIn) -> tuple[str, ...]:
    """Return the arguments of `kubelogin`."""
    words = ("get-token", "--login", sign_in.mode.value, "--server-id", SERVER_APP)
    tenant = ("--tenant-id", sign_in.tenant_id)
    client = ("--client-id", sign_in.client_id) if sign_in.client_id else ()
    match sign_in.mode:
        case Mode.INTERACTIVE | Mode.DEVICE_CODE:
            public = client or ("--client-id", CLIENT_APP)
            return (*words, *public, *tenant, "--environment", "AzurePublicCloud")
        case Mode.AZURE_CLI:
            return (*words, *tenant)
        case Mode.SERVICE_PRINCIPAL:
            return (*words, *client, *tenant, "--environment", "AzurePublicCloud")
        case Mode.WORKLOAD_IDENTITY:
            return (*words, *client, *tenant)
        case Mode.MANAGED_IDENTITY:
            return (*words, *client)
        case _:
            assert_never(sign_in.mode)


def refusal(posture: Posture) -> tuple[str, str]:
    """Say why no kubeconfig without a static credential can be written, and the remedy. Both are empty if one can."""
    match posture.identity:
        case Identity.NONE:
            return (
                f"{posture.cluster} does not use Microsoft Entra ID: its only kubeconfig is a static credential",
                "enable it first: aks-entra plan, aks-entra migrate",
            )
        case Identity.LEGACY:
            return (
                f"{posture.cluster} has the legacy integration: only its own applications get tokens for it",
                "upgrade it first: aks-entra plan, aks-entra migrate",
            )
        case Identity.UNKNOWN:
            return (
                f"{posture.cluster} shows a sign-in integration that this version does not know",
                "check its `aadProfile`: az aks show",
            )
        case Identity.MANAGED:
            if not posture.fqdn:
                return f"{posture.cluster} shows no API server address", "start it first: az aks start"
            return "", ""
        case _:
            assert_never(posture.identity)
