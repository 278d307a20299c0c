"""Opens the store of records that `AKS_ENTRA_RECORDS` names: a folder, or a container of Azure Blob Storage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aks_entra.adapters.records.store import Records
from aks_entra.errors import Refused
from aks_entra.settings import Settings

__all__ = ["Container", "Records", "open_store", "place_of"]

_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER: Final = re.compile(r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]")
_HOST: Final = re.compile(r"[a-z0-9]{3,24}(\.z\d{1,2})?\.blob(\.[a-z0-9-]+){2,}")
_PREFIX: Final = re.compile(r"([A-Za-z0-9._-]+/)*")
_REMEDY: Final = "name a folder, az://ACCOUNT/CONTAINER[/PREFIX], or https://ACCOUNT.blob.core.windows.net/CONTAINER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of Azure Blob Storage. `prefix` is empty or ends with `/`."""

    host: str
    name: str
    prefix: str = ""


def place_of(text: str, field: str = "AKS_ENTRA_RECORDS") -> Path | Container:
    """Return the place that a text names. Raises Refused, with the field and the remedy, if it names none."""

    def wrong(message: str, remedy: str) -> Refused:
        return Refused(f"{field}: {message}", remedy=remedy)

    if "://" not in text:
        return Path(text).expanduser().absolute()
    url = urlsplit(text)
    if url.query or url.fragment or "@" in url.netloc:
        raise wrong("it must not contain a signature, a key or a user", "remove it: the process signs in by itself")
    container, _, prefix = url.path.lstrip("/").partition("/")
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    if url.scheme == "az" and not _ACCOUNT.fullmatch(url.netloc):
        raise wrong(f"{url.netloc!r} is no name of a storage account", _REMEDY)
    if url.scheme == "https" and not _HOST.fullmatch(url.netloc):
        raise wrong(f"{url.netloc!r} is no host of Azure Blob Storage", _REMEDY)
    if url.scheme not in {"az", "https"}:
        raise wrong(f"{url.scheme}:// is not supported", _REMEDY)
    if not _CONTAINER.fullmatch(container):
        raise wrong(f"{container!r} is no name of a container", _REMEDY)
    if not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/"):
        raise wrong("the prefix has other characters than letters, digits, dots, dashes and /", _REMEDY)
    host = url.netloc if url.scheme == "https" else f"{url.netloc}.blob.core.windows.net"
    return Container(host=host, name=container, prefix=prefix)


def open_store(settings: Settings) -> Records:
    """Open the store that the settings name. The caller closes it.

    Raises Refused if they name none, or no place that can hold one. Nothing is read yet.
    """
    if not settings.records:
        raise Refused("no store of records is set", remedy=f"set AKS_ENTRA_RECORDS: {_REMEDY}")
    place = place_of(settings.records)
    if isinstance(place, Path):
        from aks_entra.adapters.records.folder import FolderBlobs

        return Records(FolderBlobs(place))
    from aks_entra.adapters.http.network import Web
    from aks_entra.adapters.identity.credentials import Identities
    from aks_entra.adapters.records.azure_blobs import AzureBlobs

    web = Web(connect=settings.connect_timeout, read=settings.request_timeout)
    return Records(AzureBlobs(place.host, place.name, place.prefix, web, Identities(web)))
