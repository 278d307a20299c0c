"""Ports of the access review that find nothing, and a place for the kubeconfig from break-glass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aks_entra.ports.access import AccessPorts


class EmptyPort:
    """No role assignments, bindings and PIM memberships."""

    async def none(self, *_: object, **__: object) -> tuple[()]:
        """Return nothing."""
        return ()

    memberships = held = bindings = grants = none


EMPTY_PORTS = cast("AccessPorts", SimpleNamespace(**dict.fromkeys(("pim", "roles", "bindings"), EmptyPort())))


class KubeconfigSink:
    """The place for the kubeconfig from break-glass."""

    def put(self, content: bytes) -> None:
        """Drop the content, because the ledger records the credential."""
        assert content
