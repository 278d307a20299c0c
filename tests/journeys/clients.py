"""The clients that journeys use, and what they type and read with them."""

from __future__ import annotations

CLIENTS = ("az", "kubectl", "kubelogin")
LOGIN = (
    'az login --service-principal -u "$AZURE_CLIENT_ID" -p "$AZURE_CLIENT_SECRET" --tenant "$AZURE_TENANT_ID" -o none'
)
LOCAL_ACCOUNTS_ARE_OFF = (
    "Getting static credential is not allowed because this cluster is set to disable local accounts."
)
SIGN_IN_AGAIN = 'kubelogin remove-tokens && rm -rf "$HOME/.cache/.IdentityService"'
"""The second command deletes a service principal's token, which `remove-tokens` of kubelogin 0.2.19 leaves."""
