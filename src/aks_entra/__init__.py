"""Move fleets of AKS clusters to Microsoft Entra ID sign-in, close the local-account backdoor, and prove it."""

__version__ = "0.1.0"
