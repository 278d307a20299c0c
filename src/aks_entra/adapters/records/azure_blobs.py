"""A store of records in a container of Azure Blob Storage.

A container with a time-based immutability policy lets nobody change or delete a record, not even the account's owner.
Sources: the Azure pages "Put Blob" (`If-None-Match: *`), "List Blobs", "Delete Blob", "Azure Blob Storage error codes",
and "Authorize access to blobs using Microsoft Entra ID".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobPrefix, ContainerClient

from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.network import Web
from aks_entra.adapters.http.paging import every
from aks_entra.adapters.identity.credentials import Identities
from aks_entra.errors import AksEntraError, Refused

_NO_CONTAINER: Final = "ContainerNotFound"
_THERE: Final = "BlobAlreadyExists"
_IMMUTABLE: Final = {
    "BlobImmutableDueToPolicy": "the container's immutability policy",
    "BlobImmutableDueToLegalHold": "a legal hold",
}
_WAIT: Final = "wait until it ends, then run the command again with another archive"
_REMEDIES: Final = {
    403: "give this identity the role Storage Blob Data Contributor on the container, and let the account's firewall "
    "pass this machine; a new role assignment counts after up to 10 minutes",
    404: "create the container: docs/how-to/records.md has the lines",
}


class AzureBlobs:
    """`Blobs` in one container, below a prefix that is empty or ends with `/`."""

    def __init__(self, host: str, container: str, prefix: str, web: Web, identities: Identities) -> None:
        self.where = f"https://{host}/{container}/{prefix}".rstrip("/")
        self._listing = f"list records in {self.where}"
        self._host, self._prefix = host, prefix
        self._web, self._identities = web, identities
        self._container = ContainerClient(
            f"https://{host}", container, credential=identities.runner_credential, transport=web.transport(host)
        )

    async def create(self, name: str, content: bytes) -> None:
        """Put a new blob. Azure refuses it if the name is there (`If-None-Match: *`), and then nothing changes."""
        with self._asking(f"store a record in {self.where}"):
            try:
                await self._container.upload_blob(self._prefix + name, content, overwrite=False)
            except ResourceExistsError as error:  # the SDK raises it for a container that is being deleted, too
                if getattr(error, "error_code", None) != _THERE:
                    raise

    async def read(self, name: str) -> bytes | None:
        """Return the bytes of a blob, or None if there is none."""
        with self._asking(f"read a record in {self.where}"):
            try:
                found = await self._container.download_blob(self._prefix + name)
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == _NO_CONTAINER:
                    raise
                return None
            return await found.readall()

    async def remove(self, name: str) -> None:
        """Delete a blob. Raises Refused if an immutability policy or a legal hold keeps it."""
        with self._asking(f"remove a record from {self.where}"):
            try:
                await self._container.delete_blob(self._prefix + name)
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == _NO_CONTAINER:
                    raise
            except HttpResponseError as error:
                if (code := str(getattr(error, "error_code", ""))) not in _IMMUTABLE:
                    raise
                raise Refused(f"{_IMMUTABLE[code]} keeps it", remedy=_WAIT, code=code) from None

    async def names(self, prefix: str) -> list[str]:
        """Return the names of all blobs that begin with the prefix. Azure sends 5,000 at a time."""
        listed = self._container.list_blob_names(name_starts_with=self._prefix + prefix)
        return await self._sorted(str(one) async for one in every(listed, self._listing))

    async def folders(self, prefix: str) -> list[str]:
        """Return the virtual folders that begin with the prefix."""
        listed = self._container.walk_blobs(name_starts_with=self._prefix + prefix, delimiter="/")
        return await self._sorted(
            str(one.name) async for one in every(listed, self._listing) if isinstance(one, BlobPrefix)
        )

    async def leftovers(self) -> tuple[str, ...]:
        """Return nothing: Azure shows a blob only when it is whole."""
        return ()

    async def close(self) -> None:
        """Close the client, the credential and the connections."""
        await self._container.close()
        await self._identities.close()
        await self._web.close()

    async def _sorted(self, names: AsyncIterator[str]) -> list[str]:
        with self._asking(self._listing):
            return sorted([one.removeprefix(self._prefix) async for one in names])

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        try:
            with azure(doing, host=self._host):
                yield
        except AksEntraError as error:
            error.remedy = _REMEDIES.get(error.status or 0, error.remedy)
            raise
