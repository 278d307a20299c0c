"""Lists as `kubectl get` prints them: `meta.k8s.io/v1` Tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from azure_sandbox.cluster.resources import Resource

Object = dict[str, Any]
Column = tuple[str, str, Callable[[Object, dt.datetime], Any]]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MINUTE, HOUR, DAY = 60, 3600, 86400


def wants_table(accept: str) -> bool:
    """Return whether the client's first choice is a table."""
    return accept.replace(" ", "").startswith(TABLE)


def age(document: Object, now: dt.datetime) -> str:
    """Return the age of an object with kubectl's precision."""
    born = dt.datetime.fromisoformat(document["metadata"]["creationTimestamp"])
    seconds = max(0, int((now - born).total_seconds()))
    for limit, unit, letter in ((2 * MINUTE, 1, "s"), (3 * HOUR, MINUTE, "m"), (2 * DAY, HOUR, "h")):
        if seconds < limit:
            return f"{seconds // unit}{letter}"
    return f"{seconds // DAY}d"


def _name(it: Object, _: dt.datetime) -> str:
    return str(it["metadata"]["name"])


def _condition(it: Object, kind: str) -> str:
    conditions = it.get("status", {}).get("conditions", [])
    return next((str(one["status"]) for one in conditions if one["type"] == kind), "Unknown")


def _node_status(it: Object, _: dt.datetime) -> str:
    ready = "Ready" if _condition(it, "Ready") == "True" else "NotReady"
    return f"{ready},SchedulingDisabled" if it["spec"].get("unschedulable") else ready


def _count(it: Object, *path: str) -> int:
    found: Any = it
    for step in path:
        found = found.get(step, 0) if isinstance(found, dict) else 0
    return int(found or 0)


def _pod_ready(it: Object, _: dt.datetime) -> str:
    states = it["status"].get("containerStatuses", [])
    return f"{sum(bool(one['ready']) for one in states)}/{len(it['spec']['containers'])}"


def _ready_of(it: Object, _: dt.datetime) -> str:
    return f"{_count(it, 'status', 'readyReplicas')}/{_count(it, 'spec', 'replicas')}"


def _number(name: str, *path: str) -> Column:
    return (name, "integer", lambda it, _: _count(it, *path))


_AGE: Column = ("Age", "string", age)
_NAME: Column = ("Name", "string", _name)
COLUMNS: dict[tuple[str, str], Sequence[Column]] = {
    ("", "nodes"): (
        _NAME,
        ("Status", "string", _node_status),
        ("Roles", "string", lambda _it, _: "<none>"),
        _AGE,
        ("Version", "string", lambda it, _: it["status"]["nodeInfo"]["kubeletVersion"]),
    ),
    ("", "namespaces"): (_NAME, ("Status", "string", lambda it, _: it["status"]["phase"]), _AGE),
    ("", "pods"): (
        _NAME,
        ("Ready", "string", _pod_ready),
        ("Status", "string", lambda it, _: it["status"]["phase"]),
        ("Restarts", "string", lambda _it, _: "0"),
        _AGE,
    ),
    ("apps", "deployments"): (
        _NAME,
        ("Ready", "string", _ready_of),
        _number("Up-to-date", "status", "updatedReplicas"),
        _number("Available", "status", "availableReplicas"),
        _AGE,
    ),
    ("apps", "statefulsets"): (_NAME, ("Ready", "string", _ready_of), _AGE),
    ("apps", "daemonsets"): (
        _NAME,
        _number("Desired", "status", "desiredNumberScheduled"),
        _number("Current", "status", "currentNumberScheduled"),
        _number("Ready", "status", "numberReady"),
        _number("Up-to-date", "status", "updatedNumberScheduled"),
        _number("Available", "status", "numberAvailable"),
        _AGE,
    ),
}


def table(resource: Resource, items: Sequence[Object], metadata: Object, now: dt.datetime) -> Object:
    """Return a table of objects. Each row includes the object's metadata, which kubectl needs."""
    columns = COLUMNS.get(resource.key, (_NAME, _AGE))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {"name": name, "type": kind, "format": "name" if name == "Name" else "", "description": "", "priority": 0}
            for name, kind, _ in columns
        ],
        "rows": [
            {
                "cells": [read(it, now) for _, _, read in columns],
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": it["metadata"],
                },
            }
            for it in items
        ],
    }
