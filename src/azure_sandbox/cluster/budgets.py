"""PodDisruptionBudgets with the numbers of their controller: covered, healthy and disruptable pods."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any

from azure_sandbox.cluster.store import Key, Object, Store

BUDGETS: Key = ("policy", "poddisruptionbudgets")
PODS: Key = ("", "pods")


def _share(value: Any, whole: int) -> int:
    """Return a number, or a percentage of `whole`, rounded up as Kubernetes does."""
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(whole * int(value[:-1]) / 100)
    return int(value)


def malformed(spec: Any) -> str:
    """Return Kubernetes' error for an invalid budget, or an empty string for a valid one."""
    if not isinstance(spec, dict) or not isinstance(spec.get("selector") or {}, dict):
        return "spec: Required value"
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name, 0)
        counted = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not counted and not (isinstance(value, str) and re.fullmatch(r"\d{1,3}%", value)):
            return f"spec.{name}: Invalid value: {value!r}: must be a number or a percentage"
    if {"minAvailable", "maxUnavailable"} <= set(spec):
        return "spec: Invalid value: minAvailable and maxUnavailable cannot be both set"
    return ""


def _selects(selector: Object, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def status_of(budget: Object, pods: list[Object]) -> dict[str, int]:
    """Return the numbers in a budget's status."""
    spec = budget.get("spec") or {}
    covered = [it for it in pods if _selects(spec.get("selector") or {}, it)]
    healthy = sum(it["status"].get("phase") == "Running" for it in covered)
    if "maxUnavailable" in spec:
        desired = max(0, len(covered) - _share(spec["maxUnavailable"], len(covered)))
    else:
        desired = _share(spec.get("minAvailable", 1), len(covered))
    return {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": max(0, healthy - desired),
        "expectedPods": len(covered),
        "observedGeneration": 1,
    }


def blocking(store: Store) -> tuple[Object, Object] | None:
    """Return a budget that allows no disruption, and one of its pods on a node. Returns None if no budget blocks."""
    for budget in store.list(BUDGETS):
        pods = store.list(PODS, budget["metadata"]["namespace"])
        selector = (budget.get("spec") or {}).get("selector") or {}
        held = [it for it in pods if _selects(selector, it)]
        if held and not status_of(budget, pods)["disruptionsAllowed"]:
            return budget, held[0]
    return None


def count(store: Store, when: dt.datetime) -> None:
    """Update the status of every budget."""
    for budget in store.list(BUDGETS):
        pods = store.list(PODS, budget["metadata"]["namespace"])
        status = status_of(budget, pods)
        if budget.get("status") != status:
            store.put(BUDGETS, {**budget, "status": status}, when)
