"""How long operations last: the recorded medians or, with a seed, draws between the recorded extremes. In seconds."""

from __future__ import annotations

import random
from collections.abc import Mapping

DURATIONS: Mapping[str, float] = {
    "create": 320,
    "update": 113,
    "enable-entra": 160,
    "legacy-to-managed": 166,
    "azure-rbac": 180,
    "enable-local-accounts": 101,
    "rotate": 1500,
    "rotate-signing-keys": 103,
    "stop": 100,
    "start": 200,
    "abort": 7,
    "delete": 240,
    "tags": 15,
    "pool": 60,
    "pool-create": 180,
    "pool-delete": 120,
    "group-delete": 300,
    "run-command": 20,
    "maintenance": 300,
    "policy": 300,  # until a policy assignment or exemption counts: "Get compliance data of Azure resources"
}
RANGES: Mapping[str, tuple[float, float]] = {  # 167 creations and 127 updates recorded 2022-24; rotations from threads
    "create": (16, 1480),
    "update": (91, 2108),
    "enable-entra": (91, 470),
    "legacy-to-managed": (91, 470),
    "azure-rbac": (91, 470),
    "enable-local-accounts": (91, 300),
    "rotate": (900, 2400),
    "stop": (87, 124),
    "start": (170, 345),
}
TAIL = 4  # the exponent that makes long operations rare


class Durations:
    """The duration of each operation, in seconds of Azure's time; the `given` durations are exact."""

    def __init__(self, given: Mapping[str, float], seed: int | None = None) -> None:
        self._given = dict(given)
        self._seed = seed
        self._drawn: dict[tuple[str, str], int] = {}

    def __call__(self, kind: str, cluster: str) -> float:
        """Return the duration of a cluster's next operation of a kind; with a seed it is the same in every run."""
        if kind in self._given:
            return self._given[kind]
        middle = DURATIONS[kind]
        if self._seed is None or kind not in RANGES:
            return middle
        number = self._drawn[kind, cluster] = self._drawn.get((kind, cluster), 0) + 1
        share = random.Random(f"{self._seed}/{kind}/{cluster}/{number}").random()  # noqa: S311  # no secret
        low, high = RANGES[kind]
        half = 0.5
        if share < half:
            return low + (middle - low) * 2 * share
        return middle + (high - middle) * float((2 * share - 1) ** TAIL)
