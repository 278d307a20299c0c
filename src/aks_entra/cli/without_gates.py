"""Stages that begin without an approval: only if a person typed `--without-gates`, and never silently."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aks_entra.cli import output
from aks_entra.cli.decision import signed_in
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import WithoutGates
from aks_entra.core.planning.rollout import without_approval
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.rollout import Gated, Soak


def require_typed(stages: Iterable[Gated], rotation: Soak | None, *, typed: bool) -> bool:
    """Whether anything begins without an approval. Raises Refused unless `--without-gates` was typed."""
    missing = without_approval(stages, rotation)
    if missing and not typed:
        raise Refused(
            f"no approval is asked for before {', '.join(missing)}",
            remedy="keep the gates, or add --without-gates, which is recorded as your decision on this plan",
        )
    return bool(missing)


async def token_for(plan: FleetPlan, *, typed: bool, approver: str | None, reason: str) -> str:
    """Say what begins without an approval, and record who typed that for exactly this plan.

    Returns the token that binds the decision to one run. Empty if nobody typed it, or if every stage has its gate.
    """
    if not typed:
        return ""
    missing = without_approval(plan.stages, plan.rotation)
    if not missing:
        output.say("every stage of this plan has a gate: --without-gates changes nothing", style="dim")
        return ""
    output.say(f"no approval is asked for before {', '.join(missing)}: --without-gates", style="warning")
    token = secrets.token_hex(8)
    decision = WithoutGates(
        plan=plan.digest,
        facts=plan.facts_digest,
        by=approver or await signed_in(),
        reason=reason,
        at=stamp(wiring.SystemClock().now()),
        token=token,
    )
    await prefect_client.store_without_gates(decision)
    return token
