"""PodDisruptionBudgets as their controller counts them: how many pods they cover, and how many may go."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from azure_sandbox.cluster.store import Key, Object, Store

BUDGETS: Key = ("policy", "poddisruptionbudgets")
PODS: Key = ("", "pods")


def _share(value: Any, whole: int) -> int:
    """A number or a percentage of a number, rounded up as Kubernetes does."""
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(whole * int(value[:-1]) / 100)
    return int(value)


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


def count(store: Store, when: dt.datetime) -> None:
    """Bring every budget's status up to date."""
    for budget in store.list(BUDGETS):
        pods = store.list(PODS, budget["metadata"]["namespace"])
        status = status_of(budget, pods)
        if budget.get("status") != status:
            store.put(BUDGETS, {**budget, "status": status}, when)
