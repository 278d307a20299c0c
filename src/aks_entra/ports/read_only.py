"""Ports that cannot write, for a run without an approval to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn, cast

from aks_entra.core.steps import Step, writes
from aks_entra.errors import Refused
from aks_entra.ports.deny_policies import DenyPolicies
from aks_entra.ports.directory import Directory
from aks_entra.ports.hubs import Hubs
from aks_entra.ports.migration import ControlPlane, Ports

WRITES: Final[Mapping[str, frozenset[str]]] = {
    "arm": frozenset(
        {
            "enable_entra",
            "update_entra",
            "set_local_accounts",
            "rotate_certificates",
            "ensure_resource_group",
            "create_cluster",
            "create_child",
            "hand_out_admin_kubeconfig",
        }
    ),
    "directory": frozenset({"ensure_group"}),
    "deny_policies": frozenset({"assign", "remove", "exempt", "end_exemption"}),
    "hubs": frozenset({"update_argocd_secrets", "update_flux_secret"}),
}
"""The calls of each port that change Azure or Entra ID, or give a credential away."""
_REMEDY: Final = "start migrate-fleet with this plan: it asks for an approval of the steps that are left"


def only_looking(ports: Ports) -> Ports:
    """Return the same ports, but their writing calls raise Refused (code LookOnly) and never reach Azure."""
    return replace(
        ports,
        arm=cast("ControlPlane", _ReadOnly(ports.arm, WRITES["arm"])),
        directory=cast("Directory", _ReadOnly(ports.directory, WRITES["directory"])),
        deny_policies=cast("DenyPolicies", _ReadOnly(ports.deny_policies, WRITES["deny_policies"])),
        hubs=cast("Hubs", _ReadOnly(ports.hubs, WRITES["hubs"])) if ports.hubs else None,
    )


def nothing_to_write(left: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps that are left, for a run that only looks. Refused (code LookOnly) if one of them writes."""
    found = [step.kind for step in left if writes(step)]
    if found:
        raise refusal(f"{found[0]} is left to do")
    return left


def refusal(what: str) -> Refused:
    """Return the error of a run that may only look."""
    return Refused(f"this run only looks: nobody approved it to write, and {what}", remedy=_REMEDY, code="LookOnly")


class _ReadOnly:
    """A port without its writing calls."""

    def __init__(self, port: object, refused: frozenset[str]) -> None:
        self._port = port
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        if name not in self._refused:
            return getattr(self._port, name)

        async def refuse(*_: object, **__: object) -> NoReturn:
            raise refusal(f"`{name}` would write")

        return refuse
