"""Reads the diagnostic setting in a request, and refuses what Azure Monitor refuses.

The words for a missing sink, an unknown category and a sink that is used twice are quoted from public issues.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import front, not_modelled
from azure_sandbox.logs.state import Document, Setting

CATEGORIES = (
    *("cloud-controller-manager", "cluster-autoscaler", "csi-azuredisk-controller", "csi-azurefile-controller"),
    *("csi-snapshot-controller", "fleet-mcs-controller-manager", "fleet-member-agent"),
    *("fleet-member-net-controller-manager", "guard", "karpenter-events", "kube-apiserver", "kube-audit"),
    *("kube-audit-admin", "kube-controller-manager", "kube-scheduler"),
)
GROUPS = ("allLogs", "audit")
MOST = 5  # settings of one resource
ELSEWHERE = (
    *("storageAccountId", "eventHubAuthorizationRuleId", "eventHubName", "serviceBusRuleId"),
    "marketplacePartnerId",
)
_RETENTION = "retentionPolicy"


def read_setting(name: str, sent: Document) -> Setting:
    """Return the setting that a PUT describes. Raises Azure Monitor's 400, or 501 for a sink other than a workspace."""
    properties = mapping(sent.get("properties"), "properties")
    if found := [key for key in ELSEWHERE if properties.get(key)]:
        raise not_modelled(f"the sink {found[0]} of a diagnostic setting")
    workspace = properties.get("workspaceId")
    if not workspace or not isinstance(workspace, str):
        raise front(400, "BadRequest", "At least one data sink needs to be specified.")
    on, off, groups = list[str](), list[str](), list[str]()
    for log in _entries(properties, "logs"):
        category, group = (str(log.get(key) or "") for key in ("category", "categoryGroup"))
        known = _spelt(category or group, CATEGORIES if category else GROUPS)
        enabled = log.get("enabled") is True
        if group and not category:
            groups += [known] if enabled else []
        else:
            (on if enabled else off).append(known)
    metrics = False
    for metric in _entries(properties, "metrics"):
        _spelt(str(metric.get("category") or ""), ("AllMetrics",))
        metrics = metrics or metric.get("enabled") is True
    if len(groups) > 1:
        raise not_modelled("a diagnostic setting with several category groups")
    return Setting(
        name=name,
        categories=tuple(on),
        group="".join(groups),
        workspace=workspace,
        dedicated=str(properties.get("logAnalyticsDestinationType") or "").lower() == "dedicated",
        off=tuple(off),
        metrics=metrics,
    )


def check_others(made: Setting, others: Sequence[Setting]) -> None:
    """Raise Azure Monitor's refusal of a setting too many, or of one that sends a category to the same sink again."""
    if len(others) >= MOST:
        raise front(400, "BadRequest", f"A maximum of {MOST} diagnostic settings can be set for a resource.")
    for other in others:
        if other.workspace.lower() != made.workspace.lower():
            continue
        again = sorted({*made.categories, made.group} & {*other.categories, other.group} - {""})
        if again:
            raise front(
                409,
                "Conflict",
                f"Data sink '{made.workspace}' is already used in diagnostic setting '{other.name}' for category "
                f"'{again[0]}'. Data sinks can't be reused in different settings on the same category for the same "
                "resource.",
            )


def _entries(properties: Document, key: str) -> list[Document]:
    value: Any = properties.get(key) or []
    if not isinstance(value, list):
        raise front(400, "BadRequest", f"The value of {key} is not a list.")
    entries = [mapping(it, f"properties.{key}") for it in value]
    for it in entries:
        if mapping(it.get(_RETENTION), _RETENTION).get("enabled"):
            raise not_modelled("a retention policy of a diagnostic setting")
    return entries


def _spelt(name: str, known: Sequence[str]) -> str:
    for it in known:
        if it.lower() == name.lower():
            return it
    raise front(400, "BadRequest", f"Category '{name}' is not supported.")
