"""Asks Azure Policy what it would say of the bodies that a plan will send: `checkPolicyRestrictions`.

ARM evaluates every assignment, with definitions of the user's own. It may miss that a cluster is exempt, so exemptions
are read as well. Source: the specification of Microsoft.PolicyInsights 2024-10-01.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from aks_entra.adapters.arm import azure_policy, cluster_documents, documents
from aks_entra.adapters.arm.clients import CONTAINER_SERVICE, Clients
from aks_entra.adapters.arm.documents import ARM
from aks_entra.adapters.arm.guarded_put import Properties, change_entra, set_entra
from aks_entra.adapters.http.readable import readable
from aks_entra.core.cluster import ClusterId
from aks_entra.core.preflight import WAY_BACK, PolicyEvaluation
from aks_entra.core.steps import (
    KINDS,
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    RotateCertificates,
    Step,
    UpdateEntra,
)

_TYPE: Final = "Microsoft.ContainerService/managedClusters"
_VERSION: Final = "2024-10-01"
_UNREADABLE: Final = frozenset({400, 401, 403, 404, 501})

Document = Mapping[str, Any]


async def policy_evaluations(
    clients: Clients, cluster: ClusterId, steps: tuple[Step, ...], now: datetime
) -> tuple[PolicyEvaluation, ...] | None:
    """Return what policies deny or report of the steps' PUTs and of the way back. None if unreadable or malformed.

    What a policy reports of the cluster already now, or only of the way back, is left out. ARM is not asked if the
    assignments could be read and none of them can bind the cluster.
    """
    assigned = await azure_policy.assignments(clients, cluster)
    if assigned is not None and not any(azure_policy.binds(one, cluster) for one in assigned):
        return ()
    document = await cluster_documents.sendable(clients, cluster)
    try:
        bodies = list(_bodies(document, steps))
    except (KeyError, TypeError):  # not the cluster that the steps were planned for
        return None
    questions = _Questions(clients, cluster)
    found: list[PolicyEvaluation] = []
    for write, body in bodies:
        answer = await questions.about(body)
        if answer is None:
            return None
        found += [replace(one, write=write) for one in answer if one.effect != "audit" or write != WAY_BACK]
    if any(one.effect == "audit" for one in found):
        before = await questions.about(document)
        if before is None:
            return None
        found = [one for one in found if one.effect != "audit" or replace(one, write="") not in before]
    return await _named(clients, cluster, found, now) if found else ()


class _Questions:
    """The questions about one cluster. ARM counts them as writes, so each body is asked about once."""

    def __init__(self, clients: Clients, cluster: ClusterId) -> None:
        self._clients = clients
        self._cluster = cluster
        self._answers: dict[str, tuple[PolicyEvaluation, ...] | None] = {}

    async def about(self, body: Document) -> tuple[PolicyEvaluation, ...] | None:
        """Return what policies say of a body. None if unreadable or malformed. Local accounts are on unless off."""
        off = bool(body["properties"].get("disableLocalAccounts"))
        properties = {**body["properties"], "disableLocalAccounts": off}
        whole = {**body, "properties": properties}
        key = json.dumps(whole, sort_keys=True, default=str)
        if key not in self._answers:
            self._answers[key] = await _asked(self._clients, self._cluster, whole)
        return self._answers[key]


def _bodies(document: Document, steps: tuple[Step, ...]) -> Iterator[tuple[str, Document]]:
    """Return the body of each PUT of the steps, with words for it, and at the end the body of the way back."""
    body = deepcopy(dict(document))
    for step in steps:
        if _changed(body["properties"], step):
            yield KINDS[type(step)].words(step), deepcopy(body)
    if any(isinstance(step, DisableLocalAccounts | RotateCertificates) for step in steps):
        body["properties"]["disableLocalAccounts"] = False
        yield WAY_BACK, body


def _changed(properties: Properties, step: Step) -> bool:
    """Change the properties as the step's PUT does, without groups that have no id yet. Return whether it sends one."""
    match step:
        case EnableEntra():
            set_entra(properties, step.tenant_id, _existing(step.admin_groups), step.azure_rbac)
        case UpdateEntra():
            change_entra(properties, _existing(step.admin_groups), azure_rbac=step.azure_rbac)
        case DisableLocalAccounts():
            properties["disableLocalAccounts"] = True
        case EnableLocalAccounts():
            properties["disableLocalAccounts"] = False
        case _:
            return False
    return True


def _existing(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in groups if ":" not in one)


async def _asked(clients: Clients, cluster: ClusterId, body: Document) -> tuple[PolicyEvaluation, ...] | None:
    url = f"{ARM}{cluster.group}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions?api-version={_VERSION}"
    content = {**body, "type": _TYPE, "name": cluster.name}
    question = {
        "resourceDetails": {"resourceContent": content, "apiVersion": CONTAINER_SERVICE},
        "includeAuditEffect": True,
    }
    doing = f"ask Azure Policy about {cluster}"
    answer = await readable(documents.post(clients, url, question, doing), _UNREADABLE)
    try:
        found = answer["contentEvaluationResult"]["policyEvaluations"] if answer is not None else None
        return None if found is None else tuple(map(_evaluation, found))
    except (AttributeError, KeyError, TypeError):
        return None


def _evaluation(shown: Document) -> PolicyEvaluation:
    policy = shown["policyInfo"]
    certain = str(shown.get("evaluationResult") or "").casefold() == "noncompliant"
    effect = str((shown.get("effectDetails") or {}).get("policyEffect") or "").casefold()
    identity = str(policy["policyAssignmentId"])
    return PolicyEvaluation(
        write="",
        assignment=identity,
        name=identity.rpartition("/")[2],
        scope=identity[: identity.lower().rfind("/providers/microsoft.authorization/")],
        definition=str(policy["policyDefinitionId"]).rpartition("/")[2].lower(),
        reference=str(policy.get("policyDefinitionReferenceId") or ""),
        effect=effect if certain and effect in {"deny", "audit"} else None,
    )


async def _named(
    clients: Clients, cluster: ClusterId, found: list[PolicyEvaluation], now: datetime
) -> tuple[PolicyEvaluation, ...]:
    """Give the evaluations the names for people, and leave out assignments that are known not to bind the cluster."""
    assigned = {str(one.get("id") or "").lower(): one for one in await azure_policy.assignments(clients, cluster) or ()}
    exempt = await azure_policy.exemptions(clients, cluster, now) if assigned else azure_policy.Exemptions()
    free = {key for key, one in assigned.items() if not azure_policy.binds(one, cluster)}
    ours = {key for key, one in assigned.items() if azure_policy.is_ours(one, cluster)}
    titles = {key: str((one.get("properties") or {}).get("displayName") or "") for key, one in assigned.items()}
    return tuple(
        replace(one, name=titles.get(one.assignment.lower()) or one.name, ours=one.assignment.lower() in ours)
        for one in found
        if one.assignment.lower() not in free
        and not (one.assignment.lower() in assigned and exempt.cover(one.assignment, one.reference))
    )
