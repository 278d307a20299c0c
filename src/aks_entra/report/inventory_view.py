"""An inventory's rows in words, and what can become of each cluster. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from aks_entra.core.cluster import Depth, Identity, Posture, same_id
from aks_entra.core.debt import Debt
from aks_entra.core.opening import opening_on
from aks_entra.core.preflight import GroupFacts
from aks_entra.survey import Row


class Prospect(StrEnum):
    """What can become of a cluster, as far as an inventory knows; a plan knows more."""

    AS_IT_SHOULD_BE = "as it should be"
    CAN_BE_MIGRATED = "can be migrated"
    NEEDS_GROUP = "needs another admin group first"
    MUST_BE_STARTED = "must be started first"
    MUST_BE_REPAIRED = "must be repaired first"
    CANNOT_BE = "cannot be (no Kubernetes RBAC)"


def prospect(row: Row) -> Prospect:
    """Where a cluster stands."""
    posture = row.posture
    if not posture.kubernetes_rbac:
        return Prospect.CANNOT_BE
    closed = posture.identity is Identity.MANAGED and not posture.local_accounts
    if closed and row.old_credentials.debt is Debt.NONE and not _nobody_gets_in(row):
        return Prospect.AS_IT_SHOULD_BE
    if posture.stopped:
        return Prospect.MUST_BE_STARTED
    if posture.provisioning_state.casefold() == "failed":
        return Prospect.MUST_BE_REPAIRED
    if _nobody_gets_in(row):
        return Prospect.NEEDS_GROUP
    return Prospect.CAN_BE_MIGRATED


def identity(posture: Posture) -> str:
    """The IDENTITY column."""
    words = {Identity.NONE: "none", Identity.LEGACY: "legacy", Identity.MANAGED: "Entra"}[posture.identity]
    if posture.azure_rbac:
        words += " + Azure RBAC"
    return words if posture.kubernetes_rbac else f"{words}, no RBAC"


def groups(row: Row) -> str:
    """The ADMIN GROUPS column: names and people, and what is wrong with them."""
    return ", ".join(_group(row, group_id) for group_id in row.posture.admin_group_ids) or "–"  # noqa: RUF001 - a dash


def local_accounts(posture: Posture) -> str:
    """The LOCAL ACCOUNTS column: on, off, or open by break-glass and until when."""
    opening = opening_on(posture.tags)
    if posture.local_accounts and opening is not None:
        return f"OPEN until {opening.until} ({opening.reason})"
    return "on" if posture.local_accounts else "off"


def old_credentials(row: Row) -> str:
    """The OLD CREDENTIALS column: whether what was handed out before still opens the cluster."""
    found = row.old_credentials
    match found.debt:
        case Debt.ALIVE:
            return "alive"
        case Debt.NONE:
            return f"dead since {(found.since or '')[:10]}" if found.since else f"dead: {found.because}"
        case Debt.OWED:
            return f"OWED: {found.because}"
        case Debt.UNKNOWN:
            because = found.because.removeprefix("local accounts are off; ").removesuffix(
                "; the CA itself was not read"
            )
            return f"unknown: {because}"


def state(posture: Posture) -> str:
    """The STATE column: power, unless an operation is under way or failed."""
    words = posture.power_state if posture.provisioning_state == "Succeeded" else posture.provisioning_state
    return f"{words}, private" if posture.private else words


def summary(rows: tuple[Row, ...]) -> str:
    """The closing line: how many clusters, and what can become of them."""
    counts = Counter(prospect(row) for row in rows)
    parts = [f"{len(rows)} cluster{'' if len(rows) == 1 else 's'}"]
    parts += [f"{counts[one]} {one}" for one in Prospect if counts[one]]
    return " · ".join(parts)


def drifts(rows: tuple[Row, ...]) -> tuple[str, ...]:
    """What of the declared groups is otherwise, once each."""
    found = {one.reference: one for row in rows for one in row.drifts if one.differs or one.unknown}
    return tuple(f"admin group {one.display_name}: {'; '.join((*one.differs, *one.unknown))}" for one in found.values())


def depth(rows: tuple[Row, ...]) -> str:
    """How far was looked, and which option looks further."""
    depths = {row.posture.depth for row in rows}
    if Depth.READ in depths:
        return "looked at: ARM's list, API servers' certificates and the clusters' CA"
    if Depth.PROBED in depths:
        return "looked at: ARM's list and the API servers' certificates (--read: the clusters' CA too)"
    return "looked at: ARM's list only (--probe asks the API servers, --read also reads the clusters' CA)"


def document(rows: tuple[Row, ...]) -> dict[str, Any]:
    """The inventory for programs."""
    return {
        "kind": "aks-entra/inventory",
        "clusters": [
            {
                "id": row.posture.cluster.resource_id,
                "prospect": prospect(row),
                "posture": asdict(row.posture) | {"tags": dict(row.posture.tags), "nodes": row.posture.nodes},
                "old_credentials": asdict(row.old_credentials),
                "admin_groups": [asdict(group) for group in row.groups],
                "drifts": [asdict(one) for one in row.drifts],
                "problem": row.problem,
            }
            for row in rows
        ],
        "counts": dict(Counter(prospect(row) for row in rows)),
    }


def _nobody_gets_in(row: Row) -> bool:
    """Whether an Entra cluster's admin groups admit nobody, for certain, and Azure RBAC admits nobody either."""
    if row.posture.identity is not Identity.MANAGED or row.posture.azure_rbac:
        return False
    known = [_facts(row, group_id) for group_id in row.posture.admin_group_ids]
    return all(facts is not None and _dead(facts) for facts in known)


def _dead(facts: GroupFacts) -> bool:
    return not facts.exists or facts.deleted_on is not None or not facts.security_enabled or facts.members == 0


def _facts(row: Row, group_id: str) -> GroupFacts | None:
    return next((facts for facts in row.groups if same_id(facts.id, group_id)), None)


def _group(row: Row, group_id: str) -> str:
    facts = _facts(row, group_id)
    if facts is None:
        return f"{group_id[:8]}… (unread)"
    name = facts.display_name or f"{group_id[:8]}…"
    if not facts.exists:
        return f"{name} (does not exist!)"
    if facts.deleted_on is not None:
        return f"{name} (deleted!)"
    if not facts.security_enabled:
        return f"{name} (not for security!)"
    if any(one.differs for one in row.drifts if same_id(one.reference, group_id)):
        return f"{name} ({'members unread' if facts.members is None else facts.members}, not as declared!)"
    return f"{name} (members unread)" if facts.members is None else f"{name} ({facts.members or 'empty!'})"
