"""The prover of a fleet file: an identity that proves sign-in, and where the worker finds its credential."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StrictBool, model_validator

from aks_entra.core.planning.prover import ProverSpec
from aks_entra.fleet_file.errors import Mistake, Mistakes
from aks_entra.fleet_file.fields import Guid, Variable
from aks_entra.fleet_file.part import Part

FilePath = Annotated[str, Field(min_length=1, max_length=1024)]
_KINDS: Final = ("client_secret_env", "client_certificate_path", "federated_token_file", "managed_identity")


class ProverFile(Part):
    """The identity that proves sign-in, if it is not the one that runs the program. It has one kind of credential."""

    client_id: Guid | None = None
    """Application (client) id. Only a system-assigned managed identity needs none."""
    tenant_id: Guid | None = None
    """Its tenant. A managed identity needs none."""
    client_secret_env: Variable | None = None
    """Name of the worker's environment variable that contains the secret. Never the secret itself."""
    client_certificate_path: FilePath | None = None
    """Path on the worker of a PEM or PKCS12 file with the certificate and its key."""
    federated_token_file: FilePath | None = None
    """Path on the worker of a file with a federated token, such as the one of AKS Workload Identity."""
    managed_identity: StrictBool = False
    """The managed identity of the machine on which the worker runs."""

    @model_validator(mode="after")
    def _one_kind(self) -> ProverFile:
        given = [name for name in _KINDS if getattr(self, name)]
        if not given:
            remedy = f"add one of {', '.join(_KINDS[:3])}, or `managed_identity: true`"
            raise Mistakes([Mistake("nothing says how the prover signs in", remedy)])
        if len(given) > 1:
            raise Mistakes(
                Mistake("the prover already has a credential", f"remove `{name}` or `{given[0]}`", at=(name,))
                for name in given[1:]
            )
        missing = [name for name in ("client_id", "tenant_id") if not getattr(self, name)]
        if missing and not self.managed_identity:
            raise Mistakes(Mistake("is missing", f"add `{name}: <id>`", at=(name,)) for name in missing)
        return self

    def to_spec(self) -> ProverSpec:
        """Return the same as a core value."""
        return ProverSpec(
            client_id=self.client_id or "",
            tenant_id=self.tenant_id or "",
            secret_from=self.client_secret_env or "",
            certificate_path=self.client_certificate_path or "",
            token_file=self.federated_token_file or "",
            managed_identity=self.managed_identity,
        )
