"""Has the parts of a fleet planned elsewhere. A part that nobody planned is an error for its clusters alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.planning.parts import FleetPart
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover

Elsewhere: TypeAlias = Callable[[FleetPart], Awaitable[FleetPlan]]
"""Plans one part of a fleet in another session: by a worker of its work queue, or as its prover."""

_SIDE_BY_SIDE: Final = 20


async def plan_parts(parts: tuple[FleetPart, ...], elsewhere: Elsewhere) -> dict[str, FleetPlan | Exception]:
    """Return the plan with each cluster of the parts, by `ClusterId.key`, or why there is no plan."""

    async def one(part: FleetPart) -> FleetPlan | Exception:
        try:
            return await elsewhere(part)
        except Exception as error:  # noqa: BLE001 - the other parts are planned
            return error

    found = await bounded_gather(one, parts, at_once=_SIDE_BY_SIDE)
    return {cluster.key: answer for part, answer in zip(parts, found, strict=True) for cluster in part.clusters}


def provers_of(answers: dict[str, FleetPlan | Exception]) -> dict[str, Prover]:
    """Return who proves sign-in at each cluster of a part that was planned."""
    return {key: one.prover for key, one in answers.items() if isinstance(one, FleetPlan)}
