"""Key vaults in a world file (`keyVaults`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from azure_sandbox.world.identity import Model


class VaultKeyModel(Model):
    """A key. The same names always get the same key, so that a restarted sandbox has it too."""

    name: str = Field(pattern=r"^[0-9A-Za-z-]{1,127}$")
    kind: Literal["EC", "EC-HSM"] = "EC"
    curve: Literal["P-256", "P-384"] = "P-256"
    enabled: bool = True


class KeyVaultModel(Model):
    """A vault that uses Azure RBAC. `subscription` is a name or an id; the default is the first one of the world.

    Roles are assigned at `providers/Microsoft.KeyVault/vaults/NAME` of the resource group.
    """

    name: str = Field(pattern=r"^[A-Za-z][0-9A-Za-z-]{2,23}$")
    resource_group: str
    subscription: str = ""
    keys: tuple[VaultKeyModel, ...] = ()

    def written(self) -> dict[str, Any]:
        """Return the vault as a world file has it."""
        return {to_camel(name): it for name, it in self.model_dump(mode="json", exclude_defaults=True).items()}
