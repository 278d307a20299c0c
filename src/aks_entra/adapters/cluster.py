"""One cluster's API server from outside, through the Kubernetes client: the `Kubernetes` port.

Every call makes a client of its own and closes it: a connection or a TLS session that outlives a rotation would answer
in the name of a certificate authority that is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp

from aks_entra.adapters.credentials import Identities
from aks_entra.adapters.handshake import handshake
from aks_entra.adapters.inside import Pages, look_inside
from aks_entra.adapters.network import unreachable
from aks_entra.adapters.vault import MemoryVault
from aks_entra.core.cluster import Posture, ServingCertificate
from aks_entra.core.evidence import Credential, Node, Workload
from aks_entra.core.preflight import Inside
from aks_entra.core.wishes import data_action, forbidden
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.ports import ControlPlane, SignedIn

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient, Configuration

PAGE: Final = 500
METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks the API server for names and labels only."""

_POOL_LABELS: Final = ("kubernetes.azure.com/agentpool", "agentpool")
_UNAUTHORIZED: Final = 401
_FAILED: Final = 400


def load() -> None:
    """Import the Kubernetes client and what is used of it: up to a second, in which its thread does nothing else."""
    from kubernetes.aio import client  # noqa: PLC0415 - lazy: 0.3 s, 45 MB

    for _used in (client.AuthenticationV1Api, client.AuthorizationV1Api, client.CoreV1Api, client.AppsV1Api):
        pass  # each is imported when it is named


class ApiServers:
    """API servers as the prover, or a held credential, sees them. `timeout` in seconds, per request."""

    def __init__(self, identities: Identities, vault: MemoryVault, arm: ControlPlane, *, timeout: float) -> None:
        self._identities = identities
        self._vault = vault
        self._arm = arm
        self._timeout = timeout

    async def handshake(self, fqdn: str) -> ServingCertificate:
        """TLS only: no credential. TryLater when nobody answers."""
        return await handshake(fqdn, timeout=self._timeout)

    async def sign_in(self, posture: Posture, *, fresh: bool) -> SignedIn:
        """Who the prover is at the API server, and whether it may do everything there.

        TryLater (code Unauthorized) when the token is not accepted yet: groups and webhooks take a while.
        """
        from kubernetes.aio import client  # noqa: PLC0415 - lazy: 0.3 s, 45 MB

        token = await self._identities.cluster_token(fresh=fresh)
        async with self.as_prover(posture, token) as api:
            review = await answer_of(
                client.AuthenticationV1Api(api).create_self_subject_review_without_preload_content(
                    client.V1SelfSubjectReview(), _request_timeout=self._timeout
                )
            )
            attributes = client.V1ResourceAttributes(group="*", resource="*", verb="*")
            access = await answer_of(
                client.AuthorizationV1Api(api).create_self_subject_access_review_without_preload_content(
                    client.V1SelfSubjectAccessReview(
                        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
                    ),
                    _request_timeout=self._timeout,
                )
            )
        user = (review.get("status") or {}).get("userInfo") or {}
        return SignedIn(
            username=str(user.get("username") or ""),
            groups=tuple(str(group) for group in user.get("groups") or ()),
            everything=bool((access.get("status") or {}).get("allowed")),
        )

    async def nodes(self, posture: Posture) -> tuple[Node, ...]:
        """All nodes, as the prover sees them."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        token = await self._identities.cluster_token(fresh=False)
        async with self.as_prover(posture, token) as api:
            items = [item async for item in self.pages(client.CoreV1Api(api).list_node_without_preload_content)]
        return tuple(_node(item) for item in items)

    async def workloads(self, posture: Posture) -> tuple[Workload, ...]:
        """All deployments, daemon sets and stateful sets, as the prover sees them."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        token = await self._identities.cluster_token(fresh=False)
        async with self.as_prover(posture, token) as api:
            apps = client.AppsV1Api(api)
            kinds = {
                "Deployment": apps.list_deployment_for_all_namespaces_without_preload_content,
                "DaemonSet": apps.list_daemon_set_for_all_namespaces_without_preload_content,
                "StatefulSet": apps.list_stateful_set_for_all_namespaces_without_preload_content,
            }
            return tuple([_workload(kind, item) for kind, pages in kinds.items() async for item in self.pages(pages)])

    async def inside(self, posture: Posture) -> Inside:
        """What runs in the cluster as far as a rotation hurts it; of secrets only names are asked for."""
        token = await self._identities.cluster_token(fresh=False)
        async with self.as_prover(posture, token) as api:

            def listing(accept: str) -> Pages:
                def pages(path: str) -> AsyncIterator[Mapping[str, Any]]:
                    return self.pages(partial(_listed, api, path, accept))

                return pages

            return await look_inside(
                listing("application/json"), listing(METADATA), posture.ca.fingerprint if posture.ca else ""
            )

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        """Use one held credential alone, trusting the CA that serves now: the status of a list of one node.

        A holder of cluster-admin gets 200; the API server answers 401 once it does not know the credential any more.
        None when nothing is held, or no HTTP answer came (a TLS failure is not a refusal).
        """
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        held = self._vault.held(posture.cluster)
        if held is None:
            return None
        configuration = await self._configuration(posture)
        if credential is Credential.STATIC_TOKEN:
            if not held.token:
                return None
            configuration.api_key["BearerToken"] = f"Bearer {held.token}"
            api = client.ApiClient(configuration)
        else:
            if not held.certificate or not hasattr(os, "memfd_create"):
                return None  # where no memory can be read like a file, the certificate is not tried: grade 2
            with _in_memory(held.certificate) as certificate, _in_memory(held.key) as key:
                configuration.cert_file, configuration.key_file = certificate, key
                api = client.ApiClient(configuration)  # reads both into its TLS context
                configuration.cert_file = configuration.key_file = None
        try:
            response = await client.CoreV1Api(api).list_node_without_preload_content(
                limit=1, _request_timeout=self._timeout
            )
            await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        else:
            return int(response.status)
        finally:
            await api.rest_client.close()

    @asynccontextmanager
    async def opened(self, posture: Posture) -> AsyncIterator[ApiClient]:
        """A client of one API server in the prover's name; what goes wrong on the way there is translated."""
        async with self.as_prover(posture, await self._identities.cluster_token(fresh=False)) as api:
            yield api

    @asynccontextmanager
    async def as_prover(self, posture: Posture, token: str) -> AsyncIterator[ApiClient]:
        """The same with a token that was just got."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        configuration = await self._configuration(posture)
        configuration.api_key["BearerToken"] = f"Bearer {token}"
        async with client.ApiClient(configuration) as api:
            try:
                yield api
            except (aiohttp.ClientError, TimeoutError, OSError) as err:
                raise await self._no_answer(posture, err) from err

    async def _configuration(self, posture: Posture) -> Configuration:
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        if not posture.fqdn:
            raise Refused(
                f"{posture.cluster} shows no API server address",
                remedy="a stopped cluster has none: start it first (`az aks start`)",
                code="NoApiServer",
            )
        ca_pem = self._vault.authority(posture.cluster)
        if ca_pem is None or (posture.ca is not None and not self._vault.trusts(posture.cluster, posture.ca)):
            await self._arm.certificate_authority(posture.cluster)
            ca_pem = self._vault.authority(posture.cluster)
        return client.Configuration(host=f"https://{posture.fqdn}:443", api_key={}, ca_cert_data=ca_pem)

    async def _no_answer(self, posture: Posture, err: Exception) -> AksEntraError:
        """During a rotation the CA that was read is soon not the one that serves: it is read again, and tried later."""
        error = unreachable(err, posture.fqdn or "")
        if error.code != "CertificateNotTrusted":
            return error
        await self._arm.certificate_authority(posture.cluster)
        return TryLater(
            f"{posture.fqdn} does not serve under the CA that Azure last gave for {posture.cluster}",
            after=10,
            remedy="its certificates may be being rotated: the CA was read again",
            code="CertificateNotTrusted",
        )

    async def pages(self, fetch: Callable[..., Awaitable[Any]], **options: str) -> AsyncIterator[Mapping[str, Any]]:
        """Every item of a list, all pages; `options` are the list's own."""
        token: str | None = None
        while True:
            page = await answer_of(fetch(limit=PAGE, _continue=token, _request_timeout=self._timeout, **options))
            items = page.get("items", ...)  # null is how Go writes an empty list; no list at all is no answer
            if not isinstance(items, list | None) or not all(isinstance(one, dict) for one in items or ()):
                raise _none_of_its_own()
            for item in items or ():
                yield item
            token = (page.get("metadata") or {}).get("continue") or None
            if token is None:
                return


async def _listed(
    api: ApiClient, path: str, accept: str, *, limit: int, _continue: str | None, _request_timeout: float
) -> Any:
    """One page of a list by its path, in the form that `accept` asks for."""
    configuration = api.configuration
    query = f"{'&' if '?' in path else '?'}limit={limit}" + (f"&continue={quote(_continue)}" if _continue else "")
    return await api.rest_client.request(  # type: ignore[no-untyped-call]  # the client's own transport has no types
        "GET",
        f"{configuration.host}{path}{query}",
        headers={"Accept": accept, "Authorization": configuration.api_key["BearerToken"]},
        _request_timeout=_request_timeout,
    )


def _none_of_its_own() -> Rejected:
    return Rejected(
        "what answered is no API server: a list, or an object, is none",
        remedy="look at what stands before it",
        code="Malformed",
    )


async def answer_of(request: Awaitable[Any]) -> Mapping[str, Any]:
    """The body of an answer; what the API server refuses is raised."""
    response = await request
    text = (await response.read()).decode("utf-8", "replace")
    try:
        read: Any = json.loads(text) if text else {}
    except ValueError:
        read = None
    body: dict[str, Any] = read if isinstance(read, dict) else {}
    status = int(response.status)
    if status < _FAILED:
        if read != body:
            raise _none_of_its_own()
        return body
    message = " ".join(str(body.get("message") or "no reason given").split())[:400]
    reason = str(body.get("reason") or "")
    if status == _UNAUTHORIZED:
        raise TryLater(
            "the API server does not accept the prover's token",
            after=15,
            remedy="right after a change this passes; otherwise check that the cluster's tenant is the prover's",
            code=reason or "Unauthorized",
            status=status,
        )
    if status in {408, 429} or status >= 500:  # noqa: PLR2004 - HTTP
        raise TryLater(f"the API server is not well: {message}", after=10, code=reason, status=status)
    wanted = forbidden(message)
    raise Refused(
        f"the API server refuses: {message}",
        remedy="the prover needs an admin group, or Azure Kubernetes Service RBAC Cluster Admin, on this cluster"
        + (f" (or, with Azure RBAC, a role with the data action {data_action(wanted[1])})" if wanted else ""),
        code=reason,
        status=status,
    )


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path under which OpenSSL can read what is in no file: anonymous memory, gone when it is closed."""
    descriptor = os.memfd_create("", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _node(item: Mapping[str, Any]) -> Node:
    metadata = item.get("metadata") or {}
    labels = metadata.get("labels") or {}
    conditions = (item.get("status") or {}).get("conditions") or ()
    return Node(
        name=str(metadata.get("name") or ""),
        pool=next((str(labels[label]) for label in _POOL_LABELS if labels.get(label)), ""),
        ready=any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions),
    )


def _workload(kind: str, item: Mapping[str, Any]) -> Workload:
    metadata, status = item.get("metadata") or {}, item.get("status") or {}
    if kind == "DaemonSet":
        desired, available = status.get("desiredNumberScheduled"), status.get("numberAvailable")
    else:
        replicas = (item.get("spec") or {}).get("replicas")
        desired, available = 1 if replicas is None else replicas, status.get("availableReplicas")
    return Workload(
        kind=kind,
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        desired=int(desired or 0),
        available=int(available or 0),
    )
