"""The engines that give and end access, over an open session."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from aks_entra.access.conditional_access import PolicyRequest, PolicyWriter
from aks_entra.access.grants import Granter, Patience
from aks_entra.access.pim import JustInTime
from aks_entra.core.access.conditional_access import Control
from aks_entra.core.access.pim import ActivationPolicy
from aks_entra.wiring import Session
from tests.contract.small_world import DANA

TWO_HOURS = ActivationPolicy(max_duration=timedelta(hours=2), ticket=True)
ROOT = Path(__file__).parents[2]
_LISTED = json.loads((ROOT / "deployments" / "roles" / "graph-permissions.json").read_text())
FLOWS: dict[str, list[str]] = _LISTED["flows"]
COMMANDS: dict[str, list[str]] = _LISTED["commands"]
LISTED = {**FLOWS, **COMMANDS}
"""The Graph permissions that deployments/roles lists for each flow, and for commands that are not flows."""


def granter(session: Session) -> Granter:
    return Granter(ports=session.ports, access=session.access, patience=Patience(timeout=5, poll_interval=0.01))


def jit(session: Session) -> JustInTime:
    return JustInTime(ports=session.ports, access=session.access, patience=Patience(timeout=5, poll_interval=0.01))


def rules(session: Session) -> PolicyWriter:
    return PolicyWriter(ports=session.ports, access=session.access, patience=Patience(timeout=5, poll_interval=0.01))


async def new_group(session: Session, policy: ActivationPolicy = TWO_HOURS) -> str:
    made, _ = await jit(session).create_group("jit-admins", "jit-admins", "", (DANA,), policy)
    return made


def wanted(**change: object) -> PolicyRequest:
    whole: dict[str, object] = {
        "name": "aks-policy",
        "groups": ("aks-admins",),
        "controls": (Control.MFA,),
        "break_glass": ("glass@contoso.com",),
        **change,
    }
    return PolicyRequest(**whole)  # type: ignore[arg-type]  # keyword arguments of the tests
