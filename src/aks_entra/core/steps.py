"""The steps a plan is made of, what each costs the people on the cluster, and what each does to the guarded state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, assert_never

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.target import GroupTarget

ROTATED: Final = "rotated"
"""The CA fingerprint that a plan foresees after rotation: any but the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureAdminGroup:
    """Create the group under its `uniqueName` unless it exists; wait until it can be read. Never removes a member."""

    group: GroupTarget
    kind: Literal["ensure-admin-group"] = "ensure-admin-group"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableEntra:
    """Replace `aadProfile` by AKS-managed Microsoft Entra ID. One way, for a legacy cluster as for one without."""

    tenant_id: str
    admin_groups: tuple[str, ...]  # references: object ids, or uniqueName:… of a group that an earlier step creates
    azure_rbac: bool | None  # None: not sent, as the recorded `az aks update --enable-aad`
    was: Identity
    kind: Literal["enable-entra"] = "enable-entra"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEntra:
    """Change admin groups or Azure RBAC of a managed cluster. Lists every group: those that stay and those added."""

    admin_groups: tuple[str, ...]
    azure_rbac: bool
    kind: Literal["update-entra"] = "update-entra"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveSignIn:
    """A token of the prover must get in at this API server, by way of `admin_groups`, before anything is closed."""

    admin_groups: tuple[str, ...]
    kind: Literal["prove-sign-in"] = "prove-sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBaseline:
    """Hold the admin credential as a witness (in memory) where there is one, and record nodes and workloads."""

    hold_credential: bool
    kind: Literal["record-baseline"] = "record-baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableLocalAccounts:
    """Set `disableLocalAccounts`. Reversible through ARM."""

    kind: Literal["disable-local-accounts"] = "disable-local-accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateCertificates:
    """Rotate the cluster's certificates: the only thing that ends credentials handed out before."""

    ca_before: str
    kind: Literal["rotate-certificates"] = "rotate-certificates"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOutcome:
    """Look again, from outside: nodes, workloads, member in, ARM's refusal, old credentials tried alone."""

    rotated: bool
    local_accounts_off: bool = True
    kind: Literal["verify-outcome"] = "verify-outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableLocalAccounts:
    """The way back of `DisableLocalAccounts`: from here on Azure hands out admin credentials to whoever may ask."""

    kind: Literal["enable-local-accounts"] = "enable-local-accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRestored:
    """Look again after a rollback: an admin credential works where accounts are on, else a member gets in."""

    local_accounts: bool
    kind: Literal["verify-restored"] = "verify-restored"


Step: TypeAlias = (
    EnsureAdminGroup
    | EnableEntra
    | UpdateEntra
    | ProveSignIn
    | RecordBaseline
    | DisableLocalAccounts
    | RotateCertificates
    | VerifyOutcome
    | EnableLocalAccounts
    | VerifyRestored
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What must not move between approval and act: nothing here drifts by the hour."""

    identity: Identity
    tenant_id: str | None
    admin_groups: tuple[str, ...]  # object ids in lower case, sorted
    azure_rbac: bool
    local_accounts: bool
    kubernetes_rbac: bool
    ca: str | None  # SHA-256 of the CA certificate; None where no depth could read it

    @classmethod
    def of(cls, posture: Posture) -> Guarded:
        """The guarded part of a posture."""
        return cls(
            identity=posture.identity,
            tenant_id=posture.tenant_id.lower() if posture.tenant_id else None,
            admin_groups=_normal(posture.admin_group_ids),
            azure_rbac=posture.azure_rbac,
            local_accounts=posture.local_accounts,
            kubernetes_rbac=posture.kubernetes_rbac,
            ca=posture.ca.fingerprint if posture.ca else None,
        )

    def after(self, step: Step) -> Guarded:
        """The state that a step leaves behind when it succeeds."""
        match step:
            case EnableEntra():
                return replace(
                    self,
                    identity=Identity.MANAGED,
                    tenant_id=step.tenant_id.lower(),
                    admin_groups=_normal(step.admin_groups),
                    azure_rbac=bool(step.azure_rbac),
                )
            case UpdateEntra():
                return replace(self, admin_groups=_normal(step.admin_groups), azure_rbac=step.azure_rbac)
            case DisableLocalAccounts():
                return replace(self, local_accounts=False)
            case EnableLocalAccounts():
                return replace(self, local_accounts=True)
            case RotateCertificates():
                return replace(self, ca=ROTATED)
            case EnsureAdminGroup() | ProveSignIn() | RecordBaseline() | VerifyOutcome() | VerifyRestored():
                return self
            case _:
                assert_never(step)

    def resolved(self, groups: dict[str, str]) -> Guarded:
        """The same state with `uniqueName:` references replaced by the object ids that groups got (`groups`)."""
        return replace(self, admin_groups=_normal(groups.get(name, name) for name in self.admin_groups))

    def differences(self, now: Guarded, *, ca_before: str | None) -> tuple[str, ...]:
        """What a cluster's present state has otherwise than this one, in words; empty when it is the same."""
        found = []
        for name in ("identity", "tenant_id", "admin_groups", "azure_rbac", "local_accounts", "kubernetes_rbac"):
            expected, actual = getattr(self, name), getattr(now, name)
            if expected != actual:
                found.append(f"{_LABELS[name]}: expected {_words(expected)}, found {_words(actual)}")
        if self.ca == ROTATED:
            if now.ca is None or now.ca == ca_before:
                found.append("CA: expected a new one, found the one from before")
        elif self.ca is not None and now.ca != self.ca:
            found.append(f"CA: expected {_words(self.ca)}, found {_words(now.ca)}")
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What a step means for people: shown in the plan and at the gate. Minutes are documented or recorded ones."""

    one_way: bool = False
    reversible: bool = False
    interruption: str = ""
    minutes: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = field(default=())


def consequence(step: Step, *, tier: str = "Standard") -> Consequence:  # noqa: PLR0911 - a table: one for each step
    """The price of a step (the durations of arm-wire-facts: recorded updates, documented rotation)."""
    match step:
        case EnableEntra(was=Identity.LEGACY):
            downtime = "API server may be down for minutes (Free tier)" if tier == "Free" else ""
            return Consequence(
                one_way=True, interruption=downtime, minutes=(2, 5), notes=("kubeconfigs must be downloaded again",)
            )
        case EnableEntra():
            return Consequence(one_way=True, minutes=(2, 5), notes=("kubeconfigs must be downloaded again",))
        case UpdateEntra():
            return Consequence(reversible=True, minutes=(2, 5))
        case DisableLocalAccounts():
            return Consequence(
                reversible=True,
                minutes=(2, 5),
                notes=("`--admin` is refused from here on; credentials handed out before live until rotation",),
            )
        case RotateCertificates():
            return Consequence(
                one_way=True,
                interruption=(
                    "API, workloads and ingress may be down for 30 min or more; "
                    "nodes, scale sets and disks are recreated"
                ),
                minutes=(15, 45),
                notes=("every old credential and service-account token dies",),
            )
        case EnableLocalAccounts():
            return Consequence(
                reversible=True,
                minutes=(2, 5),
                notes=(
                    "Azure hands out admin credentials again; a rotation is owed for them once accounts are closed",
                ),
            )
        case EnsureAdminGroup() | ProveSignIn() | RecordBaseline() | VerifyOutcome() | VerifyRestored():
            return Consequence()
        case _:
            assert_never(step)


def writes(step: Step) -> bool:
    """Whether a step changes the cluster (the others only look, or touch the directory)."""
    return isinstance(step, EnableEntra | UpdateEntra | DisableLocalAccounts | RotateCertificates | EnableLocalAccounts)


_LABELS: Final = {
    "identity": "Microsoft Entra ID",
    "tenant_id": "tenant",
    "admin_groups": "admin groups",
    "azure_rbac": "Azure RBAC",
    "local_accounts": "local accounts",
    "kubernetes_rbac": "Kubernetes RBAC",
}


def _normal(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value if ":" in value else value.lower() for value in ids}))


def _words(value: object) -> str:
    match value:
        case None | ():
            return "none"
        case True:
            return "on"
        case False:
            return "off"
        case tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)
