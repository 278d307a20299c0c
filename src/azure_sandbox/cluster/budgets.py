"""PodDisruptionBudgets as their controller counts them: how many pods they cover, and how many may go."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any

from azure_sandbox.cluster.store import Key, Object, Store

BUDGETS: Key = ("policy", "poddisruptionbudgets")
PODS: Key = ("", "pods")


def _share(value: Any, whole: int) -> int:
    """A number or a percentage of a number, rounded up as Kubernetes does."""
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(whole * int(value[:-1]) / 100)
    return int(value)


def malformed(spec: Any) -> str:
    """What Kubernetes says of a budget that cannot be counted; empty if it can."""
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
    """The numbers of a budget."""
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
    """A budget that lets no pod go, and a pod of it that stands on a node."""
    for budget in store.list(BUDGETS):
        pods = store.list(PODS, budget["metadata"]["namespace"])
        selector = (budget.get("spec") or {}).get("selector") or {}
        held = [it for it in pods if _selects(selector, it)]
        if held and not status_of(budget, pods)["disruptionsAllowed"]:
            return budget, held[0]
    return None


def count(store: Store, when: dt.datetime) -> None:
    """Bring every budget's status up to date."""
    for budget in store.list(BUDGETS):
        pods = store.list(PODS, budget["metadata"]["namespace"])
        status = status_of(budget, pods)
        if budget.get("status") != status:
            store.put(BUDGETS, {**budget, "status": status}, when)
