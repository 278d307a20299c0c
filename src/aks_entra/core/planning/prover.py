"""Who proves sign-in: the identity that runs, or another one, and where a worker finds its credential."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ProverSpec:
    """An identity that proves sign-in, and one kind of credential. Nothing here is a secret.

    `secret_from`: name of the environment variable with its secret. `certificate_path`: file with its certificate and
    key. `token_file`: file with a federated token. `managed_identity`: the machine has it; without `client_id` it is
    the system-assigned one.
    """

    client_id: str = ""
    tenant_id: str = ""
    secret_from: str = ""
    certificate_path: str = ""
    token_file: str = ""
    managed_identity: bool = False


_LATER: Final = ("certificate_path", "token_file", "managed_identity")
"""Fields that plans of earlier versions do not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prover:
    """Who proves sign-in: the runner, or an identity with one kind of credential, as in `ProverSpec`."""

    object_id: str
    client_id: str | None = None
    tenant_id: str | None = None
    secret_from: str | None = None  # name of the variable, never its value
    certificate_path: str = ""
    token_file: str = ""
    managed_identity: bool = False

    @classmethod
    def of(cls, object_id: str, spec: ProverSpec | None) -> Prover:
        """Return the prover of a plan. `spec` None: the runner."""
        if spec is None:
            return cls(object_id=object_id)
        return cls(
            object_id=object_id,
            client_id=spec.client_id or None,
            tenant_id=spec.tenant_id or None,
            secret_from=spec.secret_from or None,
            certificate_path=spec.certificate_path,
            token_file=spec.token_file,
            managed_identity=spec.managed_identity,
        )

    @property
    def spec(self) -> ProverSpec | None:
        """The identity for the wiring. None: the runner proves sign-in."""
        kept = self.secret_from or self.certificate_path or self.token_file
        if not self.managed_identity and not (self.client_id and self.tenant_id and kept):
            return None
        return ProverSpec(
            client_id=self.client_id or "",
            tenant_id=self.tenant_id or "",
            secret_from=self.secret_from or "",
            certificate_path=self.certificate_path,
            token_file=self.token_file,
            managed_identity=self.managed_identity,
        )

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers of it. Unset later fields are left out, as in older digests."""
        return {name: value for name, value in asdict(self).items() if value or name not in _LATER}
