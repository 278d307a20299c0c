"""Stages of the fleet files in these tests."""

from __future__ import annotations

from typing import Any, Final

ALL: Final[dict[str, Any]] = {"name": "all", "groups": [{"name": "all", "rest": True}]}
UNGATED: Final[dict[str, Any]] = {**ALL, "gate_before": False}
CANARY: Final[dict[str, Any]] = {"name": "canary", "groups": [{"name": "one", "clusters": ["canary"]}]}
REST: Final[dict[str, Any]] = {"name": "rest", "groups": [{"name": "others", "rest": True}]}
