"""Signatures that nobody required: a gate without approvers takes a typed name, and a person may sign all the same.

Such a signature proves who decided. It opens nothing, and one that does not hold stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import Asked, Count, Signature, count


def voluntary_gate(gate: Gate, application: Approvers) -> Gate:
    """Return the gate as if the people of an application had to sign, whatever their groups."""
    return replace(gate, approvers=application)


def count_voluntary(
    gate: Gate, application: Approvers, asked: Asked, signatures: Iterable[Signature], *, at: Iterable[datetime]
) -> Count:
    """Count the signatures of people who signed in through an application. Nobody's groups are asked about."""
    anybody = (replace(one, member=True) for one in signatures)
    return count(voluntary_gate(gate, application), asked, anybody, at=at)
