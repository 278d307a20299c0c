"""A store of records in a container of Azure Blob Storage.

A container with a time-based immutability policy lets nobody change or delete a record, not even the account's owner.
Sources: the Azure pages "Put Blob" (`If-None-Match: *`), "List Blobs" and "Authorize access to blobs using Microsoft
Entra ID".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobPrefix, ContainerClient

from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.network import Web
from aks_entra.adapters.identity.credentials import Identities
from aks_entra.errors import AksEntraError

_NO_CONTAINER: Final = "ContainerNotFound"
_REMEDIES: Final = {
    403: "give this identity the role Storage Blob Data Contributor on the container, and let the account's firewall "
    "pass this machine; a new role assignment counts after up to 10 minutes",
    404: "create the container: docs/how-to/records.md has the lines",
}


class AzureBlobs:
    """`Blobs` in one container, below a prefix that is empty or ends with `/`."""

    def __init__(self, host: str, container: str, prefix: str, web: Web, identities: Identities) -> None:
        self.where = f"https://{host}/{container}/{prefix}".rstrip("/")
        self._host, self._prefix = host, prefix
        self._web, self._identities = web, identities
        self._container = ContainerClient(
            f"https://{host}", container, credential=identities.runner_credential, transport=web.transport(host)
        )

    async def create(self, name: str, content: bytes) -> None:
        """Put a new blob. Azure refuses it if the name is there (`If-None-Match: *`), and then nothing changes."""
        with self._asking("store a record"):
            try:
                await self._container.upload_blob(self._prefix + name, content, overwrite=False)
            except ResourceExistsError:
                return

    async def read(self, name: str) -> bytes | None:
        """Return the bytes of a blob, or None if there is none."""
        with self._asking("read a record"):
            try:
                found = await self._container.download_blob(self._prefix + name)
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", None) == _NO_CONTAINER:
                    raise
                return None
            return await found.readall()

    async def names(self, prefix: str) -> list[str]:
        """Return the names of all blobs that begin with the prefix. Azure sends 5,000 at a time."""
        with self._asking("list records"):
            return sorted([one async for one in self._listed(prefix)])

    async def folders(self, prefix: str) -> list[str]:
        """Return the virtual folders that begin with the prefix."""
        with self._asking("list records"):
            found = self._container.walk_blobs(name_starts_with=self._prefix + prefix, delimiter="/")
            names = [str(one.name) async for one in found if isinstance(one, BlobPrefix)]
        return sorted(name.removeprefix(self._prefix) for name in names)

    async def leftovers(self) -> tuple[str, ...]:
        """Return nothing: Azure shows a blob only when it is whole."""
        return ()

    async def close(self) -> None:
        """Close the client, the credential and the connections."""
        await self._container.close()
        await self._identities.close()
        await self._web.close()

    async def _listed(self, prefix: str) -> AsyncIterator[str]:
        async for name in self._container.list_blob_names(name_starts_with=self._prefix + prefix):
            yield str(name).removeprefix(self._prefix)

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        try:
            with azure(f"{doing} in {self.where}", host=self._host):
                yield
        except AksEntraError as error:
            error.remedy = _REMEDIES.get(error.status or 0, error.remedy)
            raise
