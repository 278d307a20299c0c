"""Collects the facts for `aks-entra doctor`, and writes kubeconfig files. It must not write to Azure."""
