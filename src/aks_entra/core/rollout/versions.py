"""Whether a batch may work for its coordinator: both must run the same version of aks-entra.

A worker that was not updated may take a batch. Rules that the newer version asks before a write are missing in the
older one, and a person approved the plan under the rules of the coordinator.
"""

from __future__ import annotations


def version_mismatch(coordinator: str, batch: str) -> str:
    """Say how the versions of a coordinator and its batch differ. Empty if they do not.

    `coordinator` is the version that the coordinator noted. It is empty if an earlier version wrote the note.
    """
    if coordinator == batch:
        return ""
    noted = f"aks-entra {coordinator}" if coordinator else "an earlier version of aks-entra, which did not note it"
    return f"its coordinator runs {noted}, and this batch runs aks-entra {batch}"
