"""The sign-in settings in force of an API server. ARM decides them; a pending operation has not changed them yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SERVER_APP = "6dae42f8-4368-4678-94ff-3960e28e3630"  # Azure Kubernetes Service AAD Server
CLIENT_APP = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"  # Azure Kubernetes Service AAD Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """The sign-in and authorization settings in force."""

    identity: Literal["none", "legacy", "managed"] = "none"
    tenant: str = ""
    admin_groups: tuple[str, ...] = ()
    azure_rbac: bool = False
    kubernetes_rbac: bool = True
    legacy_server_app: str = ""
    legacy_client_app: str = ""

    @property
    def audiences(self) -> frozenset[str]:
        """Return the token audiences that the authentication webhook accepts; none without Entra ID."""
        match self.identity:
            case "managed":
                return frozenset({SERVER_APP})
            case "legacy":
                return frozenset({f"spn:{self.legacy_server_app}"})
            case "none":
                return frozenset()
