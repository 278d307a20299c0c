"""The file of Entra's signing keys that `AKS_ENTRA_ENTRA_KEYS` names: how old it is, for people at a gate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aks_entra.core.entra_keys import KEYS_LAST, SETTING, renewal
from aks_entra.settings import Settings


def age_of(file: str, now: datetime) -> timedelta:
    """Return the time since a file was written. In a pod that is when the pod started. Raises OSError."""
    return now - datetime.fromtimestamp(Path(file).stat().st_mtime, UTC)


def warning(settings: Settings, now: datetime) -> str:
    """Return a warning if the file is old or cannot be read. Empty: the file is new, or the setting names none.

    A sign-in with a key that is not in the file does not count, and Entra replaces its keys every few weeks.
    """
    file = settings.entra_keys
    if not file:
        return ""
    try:
        age = age_of(file, now)
    except OSError as error:
        return f"No signature counts here: {SETTING}={file} cannot be read: {error.strerror}; {renewal(file)}"
    if age <= KEYS_LAST:
        return ""
    return f"A signature may not count here, because {SETTING}={file} is {age.days} days old; {renewal(file)}"
