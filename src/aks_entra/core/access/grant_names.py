"""Names of our grants. They show whether something with our mark is a grant of ours.

A grant's name is computed from what it grants, so that no grant is made twice. The name also tells a grant of ours from
a copy: anybody may copy our text into a description, or our label to a binding, but then the name does not fit.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import Final

from aks_entra.core.durations import NEVER, stamp

_NAMES: Final = uuid.UUID("2a1f7e0b-6c0d-4f53-9a3e-6a6f0f7c4d11")


def assignment_name(scope: str, principal_id: str, role_id: str) -> str:
    """Return the name of a role assignment. It is always the same for one scope, principal and role (its GUID)."""
    return str(uuid.uuid5(_NAMES, f"{scope}|{principal_id}|{role_id}".casefold()))


def binding_name(namespace: str, subject: str, level: str, end: datetime | None) -> str:
    """Return the name of a binding. Each end has its own, so that an extension is a second binding."""
    key = f"{namespace}|{subject}|{level}|{stamp(end) if end else NEVER}"
    return f"aks-entra-{level}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
