"""The steps of a plan: what each does to the guarded state, and its consequences for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeAlias

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.deny_policy import ENFORCED_WITHIN
from aks_entra.core.target import GroupTarget

ROTATED: Final = "rotated"
"""The CA fingerprint that a plan expects after the rotation: any other than the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureAdminGroup:
    """Create the group under its `uniqueName` unless it exists. Wait until it can be read. Never remove a member."""

    group: GroupTarget
    kind: Literal["ensure-admin-group"] = "ensure-admin-group"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableEntra:
    """Replace `aadProfile` by AKS-managed Microsoft Entra ID. Nobody can undo it."""

    tenant_id: str
    admin_groups: tuple[str, ...]  # references: object ids, or uniqueName:… of a group that an earlier step creates
    azure_rbac: bool | None  # None: not sent, as the recorded `az aks update --enable-aad`
    was: Identity
    kind: Literal["enable-entra"] = "enable-entra"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEntra:
    """Change admin groups or Azure RBAC of a managed cluster. `admin_groups` names all groups, old and new."""

    admin_groups: tuple[str, ...]
    azure_rbac: bool
    kind: Literal["update-entra"] = "update-entra"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveSignIn:
    """Prove that the prover's token gets in at this API server through `admin_groups`, before anything is closed."""

    admin_groups: tuple[str, ...]
    kind: Literal["prove-sign-in"] = "prove-sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBaseline:
    """Hold the admin credential in memory if there is one, and record nodes and workloads."""

    hold_credential: bool
    kind: Literal["record-baseline"] = "record-baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableLocalAccounts:
    """Set `disableLocalAccounts`. Reversible through ARM."""

    kind: Literal["disable-local-accounts"] = "disable-local-accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateCertificates:
    """Rotate the cluster's certificates. Nothing else ends credentials that were handed out before."""

    ca_before: str
    kind: Literal["rotate-certificates"] = "rotate-certificates"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOutcome:
    """Look again from outside: sign-in, nodes, workloads, ARM's refusal, and each old credential alone."""

    rotated: bool
    local_accounts_off: bool = True
    kind: Literal["verify-outcome"] = "verify-outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignDenyPolicy:
    """Assign the policy that denies local accounts to the cluster, once everything else is verified."""

    kind: Literal["assign-deny-policy"] = "assign-deny-policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveDenyPolicy:
    """Undo `AssignDenyPolicy`, so that local accounts can be turned on."""

    kind: Literal["remove-deny-policy"] = "remove-deny-policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableLocalAccounts:
    """Undo `DisableLocalAccounts`. From then on Azure hands out admin credentials to anybody with the right."""

    kind: Literal["enable-local-accounts"] = "enable-local-accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRestored:
    """Look again after a rollback: an admin credential works, or, if local accounts are off, a member gets in."""

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
    | AssignDenyPolicy
    | RemoveDenyPolicy
    | EnableLocalAccounts
    | VerifyRestored
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What must not change between the approval and the write. Nothing here drifts by the hour."""

    identity: Identity
    tenant_id: str | None
    admin_groups: tuple[str, ...]  # object ids in lower case, sorted
    azure_rbac: bool
    local_accounts: bool
    kubernetes_rbac: bool
    ca: str | None  # SHA-256 of the CA certificate; None if it was not read

    @classmethod
    def of(cls, posture: Posture) -> Guarded:
        """Return the guarded part of a posture."""
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
        """Return the state after a step that succeeded."""
        return KINDS[type(step)].after(self, step)

    def resolved(self, groups: dict[str, str]) -> Guarded:
        """Return the state with `uniqueName:` references replaced by the object ids of `groups`."""
        return replace(self, admin_groups=_normal(groups.get(name, name) for name in self.admin_groups))

    def differences(self, now: Guarded, *, ca_before: str | None) -> tuple[str, ...]:
        """Return how a cluster's present state differs from this one, in words."""
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
    """What a step means for people. Plan and gate show it. Minutes are documented or recorded."""

    one_way: bool = False
    reversible: bool = False
    interruption: str = ""
    minutes: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKind:
    """What one class of step means: its texts, the state that it leaves behind, and its consequences.

    `title` names the step in Prefect's UI. `words` says what is left to do; a step that only looks has none. `mark` is
    the sign of the step in a plan.
    """

    title: str
    mark: str = "?"
    words: Callable[[Any], str] = lambda _: ""
    writes: bool = False
    after: Callable[[Guarded, Any], Guarded] = lambda state, _: state
    consequence: Callable[[Any, str], Consequence] = lambda _step, _tier: Consequence()


def _entra_enabled(state: Guarded, step: EnableEntra) -> Guarded:
    return replace(
        state,
        identity=Identity.MANAGED,
        tenant_id=step.tenant_id.lower(),
        admin_groups=_normal(step.admin_groups),
        azure_rbac=bool(step.azure_rbac),
    )


def _entra_updated(state: Guarded, step: UpdateEntra) -> Guarded:
    return replace(state, admin_groups=_normal(step.admin_groups), azure_rbac=step.azure_rbac)


def _enable_entra_costs(step: EnableEntra, tier: str) -> Consequence:
    down = step.was == Identity.LEGACY and tier == "Free"
    return Consequence(
        one_way=True,
        interruption="API server may be down for minutes (Free tier)" if down else "",
        minutes=(2, 5),
        notes=("kubeconfigs must be downloaded again",),
    )


def _update(*notes: str) -> Callable[[Any, str], Consequence]:
    return lambda _step, _tier: Consequence(reversible=True, minutes=(2, 5), notes=notes)


_ROTATION: Final = Consequence(
    one_way=True,
    interruption=(
        "API, workloads and ingress may be down for 30 min or more; nodes, scale sets and disks are recreated"
    ),
    minutes=(15, 45),
    notes=("every old credential and service-account token ends",),
)

KINDS: Final[dict[type, StepKind]] = {
    EnsureAdminGroup: StepKind(
        title="ensure admin group", mark="+", words=lambda step: f"create group {step.group.display_name}"
    ),
    EnableEntra: StepKind(
        title="enable Entra",
        mark="+",
        words=lambda _: "enable Microsoft Entra ID",
        writes=True,
        after=_entra_enabled,
        consequence=_enable_entra_costs,
    ),
    UpdateEntra: StepKind(
        title="update Entra",
        mark="+",
        words=lambda _: "update admin groups or Azure RBAC",
        writes=True,
        after=_entra_updated,
        consequence=_update(),
    ),
    ProveSignIn: StepKind(title="prove sign-in"),
    RecordBaseline: StepKind(title="record baseline"),
    DisableLocalAccounts: StepKind(
        title="disable local accounts",
        mark="−",
        words=lambda _: "disable local accounts",
        writes=True,
        after=lambda state, _: replace(state, local_accounts=False),
        consequence=_update("`--admin` is refused from here on; credentials from before work until the rotation"),
    ),
    RotateCertificates: StepKind(
        title="rotate certificates",
        mark="↻",
        words=lambda _: "rotate certificates",
        writes=True,
        after=lambda state, _: replace(state, ca=ROTATED),
        consequence=lambda _step, _tier: _ROTATION,
    ),
    VerifyOutcome: StepKind(title="verify outcome"),
    AssignDenyPolicy: StepKind(
        title="assign deny policy",
        mark="+",
        words=lambda _: "assign the policy that denies local accounts",
        consequence=lambda _step, _tier: Consequence(
            reversible=True,
            notes=("every write that would leave local accounts on is refused, also in the portal", ENFORCED_WITHIN),
        ),
    ),
    RemoveDenyPolicy: StepKind(
        title="remove deny policy",
        mark="−",
        words=lambda _: "remove the policy assignment that denies local accounts",
        consequence=lambda _step, _tier: Consequence(
            reversible=True, minutes=(0, 30), notes=("Azure may need up to 30 minutes until it follows",)
        ),
    ),
    EnableLocalAccounts: StepKind(
        title="enable local accounts",
        mark="+",
        words=lambda _: "enable local accounts",
        writes=True,
        after=lambda state, _: replace(state, local_accounts=True),
        consequence=_update(
            "Azure hands out admin credentials again; a rotation is owed for them once accounts are closed"
        ),
    ),
    VerifyRestored: StepKind(title="verify what was restored"),
}
"""What each step means. `aks_entra.execution.steps.registry` says how it is performed."""


def consequence(step: Step, *, tier: str = "Standard") -> Consequence:
    """Return the consequences of a step. Durations are from recorded updates and the documented rotation."""
    return KINDS[type(step)].consequence(step, tier)


def kind_of(step: type[Step]) -> str:
    """Return the `kind` of a type of step."""
    return str(next(one.default for one in fields(step) if one.name == "kind"))


def writes(step: Step) -> bool:
    """Whether a step changes the cluster. The others only look, or write to the directory."""
    return KINDS[type(step)].writes


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
