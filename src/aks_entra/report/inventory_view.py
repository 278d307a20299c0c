"""The rows of an inventory in words, and whether each cluster can be migrated. It does no I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from aks_entra.core.cluster import Depth, Identity, Posture, same_id
from aks_entra.core.evidence.break_glass import opening_on
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.group_drift import Drift
from aks_entra.core.preflight import GroupFacts
from aks_entra.planning.inventory import Row

_DRIFTED = "not as declared"


class Prospect(StrEnum):
    """Whether a cluster can be migrated, as far as an inventory knows. A plan knows more."""

    AS_IT_SHOULD_BE = "as it should be"
    CAN_BE_MIGRATED = "can be migrated"
    NEEDS_GROUP = "needs another admin group first"
    MUST_BE_STARTED = "must be started first"
    MUST_BE_REPAIRED = "must be repaired first"
    CANNOT_BE = "cannot be (no Kubernetes RBAC)"


def prospect(row: Row) -> Prospect:
    """Return whether a cluster can be migrated, or what must be done first."""
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
    """Return the IDENTITY column."""
    words = "Entra" if posture.identity is Identity.MANAGED else str(posture.identity)
    if posture.azure_rbac:
        words += " + Azure RBAC"
    return words if posture.kubernetes_rbac else f"{words}, no RBAC"


def groups(row: Row) -> str:
    """Return the ADMIN GROUPS column: name, number of members, and what is wrong."""
    return ", ".join(_group(row, group_id) for group_id in row.posture.admin_group_ids) or "–"


def groups_are_wrong(row: Row) -> bool:
    """Whether something is known to be wrong with an admin group of the cluster."""
    return any(_wrong(row, group_id) for group_id in row.posture.admin_group_ids)


def local_accounts(posture: Posture) -> str:
    """Return the LOCAL ACCOUNTS column: on, off, or until when break-glass keeps them open."""
    opening = opening_on(posture.tags)
    if posture.local_accounts and opening is not None:
        return f"OPEN until {opening.until} ({opening.reason})"
    return "on" if posture.local_accounts else "off"


def old_credentials(row: Row) -> str:
    """Return the OLD CREDENTIALS column: whether credentials that were handed out earlier still work."""
    found = row.old_credentials
    match found.debt:
        case Debt.ALIVE:
            return "alive"
        case Debt.NONE:
            return f"dead since {(found.since or '')[:10]}" if found.since else f"dead: {found.because}"
        case Debt.OWED:
            return f"OWED: {found.because}"
        case Debt.UNKNOWN:
            return f"unknown: {found.because}"


def state(posture: Posture) -> str:
    """Return the STATE column: the power state, unless an operation is running or failed."""
    words = posture.power_state if posture.provisioning_state == "Succeeded" else posture.provisioning_state
    return f"{words}, private" if posture.private else words


def summary(rows: tuple[Row, ...]) -> str:
    """Return the last line: how many clusters there are, and how many can be migrated."""
    counts = Counter(prospect(row) for row in rows)
    parts = [f"{len(rows)} cluster{'' if len(rows) == 1 else 's'}"]
    parts += [f"{counts[one]} {one}" for one in Prospect if counts[one]]
    return " · ".join(parts)


def drifts(rows: tuple[Row, ...]) -> tuple[str, ...]:
    """Return how groups differ from their declaration, one line for each group."""
    found = {one.reference: one for row in rows for one in row.drifts if one.differs or one.unknown}
    return tuple(f"admin group {one.display_name}: {'; '.join((*one.differs, *one.unknown))}" for one in found.values())


def depth(rows: tuple[Row, ...]) -> str:
    """Return what was read, and which option reads more."""
    depths = {row.posture.depth for row in rows}
    if Depth.READ in depths:
        return "read: ARM, the API servers' certificates and the clusters' CAs"
    if Depth.PROBED in depths:
        return "read: ARM and the API servers' certificates (--read also reads the clusters' CAs and other ways in)"
    return "read: ARM only (--probe asks the API servers, --read also reads the clusters' CAs and other ways in)"


def _answer(row: Row) -> dict[str, Any]:
    """Return the answer about old credentials, without its empty fields."""
    always = {"debt", "because", "since"}
    return {key: value for key, value in asdict(row.old_credentials).items() if value or key in always}


def document(rows: tuple[Row, ...]) -> dict[str, Any]:
    """Return the inventory as a JSON document."""
    return {
        "kind": "aks-entra/inventory",
        "clusters": [
            {
                "id": row.posture.cluster.resource_id,
                "prospect": prospect(row),
                "posture": asdict(row.posture) | {"tags": dict(row.posture.tags), "nodes": row.posture.nodes},
                "old_credentials": _answer(row),
                "admin_groups": [asdict(group) for group in row.groups],
                "drifts": [_drift(one) for one in row.drifts],
                "problem": row.problem,
                "doors": [asdict(door) for door in row.doors],
            }
            for row in rows
        ],
        "counts": dict(Counter(prospect(row) for row in rows)),
    }


def _nobody_gets_in(row: Row) -> bool:
    """Whether it is certain that nobody can sign in: neither through admin groups nor through Azure RBAC."""
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
    wrong = _wrong(row, group_id)
    if wrong and wrong != _DRIFTED:
        return f"{name} ({wrong}!)"
    members = "members unread" if facts.members is None else facts.members
    return f"{name} ({members}, {wrong}!)" if wrong else f"{name} ({members})"


def _wrong(row: Row, group_id: str) -> str:
    """Return what is wrong with an admin group. Empty if nothing is known to be wrong."""
    facts = _facts(row, group_id)
    if facts is None:
        return ""
    if not facts.exists:
        return "does not exist"
    if facts.deleted_on is not None:
        return "deleted"
    if not facts.security_enabled:
        return "not a security group"
    if any(one.differs for one in row.drifts if same_id(one.reference, group_id)):
        return _DRIFTED
    return "empty" if facts.members == 0 else ""


def _drift(one: Drift) -> dict[str, object]:
    return {
        "reference": one.reference,
        "display_name": one.display_name,
        "differs": one.differs,
        "unknown": one.unknown,
        "beside": one.additional,  # the document's name for it
    }
