"""The `Hubs` port: secrets of Argo CD and of Flux."""

from __future__ import annotations

from aks_entra.adapters.kubernetes.argocd import ArgoCdSecrets
from aks_entra.adapters.kubernetes.flux import FluxSecrets


class HubSecrets(ArgoCdSecrets, FluxSecrets):
    """Reads and writes the secrets of both programs as the prover."""
