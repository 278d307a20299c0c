"""The record store that AKS_ENTRA_RECORDS names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aks_entra.adapters.records.folder import FolderRecords
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.ports.records import RecordStore
    from aks_entra.settings import Settings


def open_store(settings: Settings) -> RecordStore:
    """Return the store, whose folder is made if it is missing. Raises Refused for a place that is no folder."""
    if "://" in settings.records:
        raise Refused(
            f"AKS_ENTRA_RECORDS is {settings.records}, but a record store is a folder",
            remedy="name a folder that every worker and every command reaches",
        )
    return FolderRecords(Path(settings.records).absolute())
