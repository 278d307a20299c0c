"""The keys with which Microsoft Entra ID signs ID tokens: where it publishes them, and a file that holds them.

Source: https://learn.microsoft.com/entra/identity-platform/signing-key-rollover.
"""

from __future__ import annotations

from typing import Final

URL: Final = "https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"
"""Where Entra publishes the keys of a tenant, as a JSON Web Key Set."""
SETTING: Final = "AKS_ENTRA_ENTRA_KEYS"
"""The environment variable that names a file with these keys."""


def renewal(file: str, tenant: str = "TENANT") -> str:
    """Return what a person does to renew a file of keys."""
    return f"renew the file where Entra is reached: curl --fail --output {file} {URL.format(tenant=tenant)}"
