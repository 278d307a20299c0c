"""One cluster's API server from outside, through the Kubernetes client: the `Kubernetes` port.

Every call makes a new client and closes it. A connection or TLS session from before a rotation would still use the old
certificate authority.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp

from aks_entra import __version__
from aks_entra.adapters.http.network import unreachable
from aks_entra.adapters.http.paging import PageTrail
from aks_entra.adapters.identity.credentials import Identities, issued_at
from aks_entra.adapters.kubernetes.handshake import handshake
from aks_entra.adapters.kubernetes.workloads import Pages, look_inside
from aks_entra.adapters.vault import MemoryVault
from aks_entra.core.access.resource_access import data_action, forbidden
from aks_entra.core.cluster import Posture, ServingCertificate
from aks_entra.core.evidence.observations import Credential, Node, Workload
from aks_entra.core.preflight import Inside
from aks_entra.core.preflight.audit_callers import PROGRAM
from aks_entra.core.rollout.owners import Owner, owner_in_namespace
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.ports.migration import ControlPlane, SignedIn

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient, Configuration

PAGE: Final = 500
METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The Accept header that asks the API server for metadata only, such as names and labels."""

USER_AGENT: Final = f"{PROGRAM}{__version__}"
_POOL_LABELS: Final = ("kubernetes.azure.com/agentpool", "agentpool")
_UNAUTHORIZED: Final = 401
_FAILED: Final = 400


def load() -> None:
    """Import the parts of the Kubernetes client that are used. That takes up to a second."""
    from kubernetes.aio import client

    apis = (client.AuthenticationV1Api, client.AuthorizationV1Api, client.RbacAuthorizationV1Api)
    for _used in (*apis, client.CoreV1Api, client.AppsV1Api):
        pass  # the client imports each of these when it is first read


class ApiServers:
    """Calls API servers as the prover or with a held credential. `timeout` is in seconds, for each request."""

    def __init__(self, identities: Identities, vault: MemoryVault, arm: ControlPlane, *, timeout: float) -> None:
        self._identities = identities
        self._vault = vault
        self._arm = arm
        self._timeout = timeout

    async def handshake(self, fqdn: str) -> ServingCertificate:
        """Do a TLS handshake without a credential. TryLater when nobody answers."""
        return await handshake(fqdn, timeout=self._timeout)

    async def sign_in(self, posture: Posture, *, since: datetime | None) -> SignedIn:
        """Return the prover's user at the API server, and whether it may do everything there.

        The token was asked for at `since` or later; None: at any time.

        TryLater (code Unauthorized) when the token is not accepted yet, because groups and webhooks take a while.
        """
        from kubernetes.aio import client

        token = await self._identities.cluster_token(since=since)
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
            issued_at=issued_at(token),
        )

    async def nodes(self, posture: Posture) -> tuple[Node, ...]:
        """Return all nodes, as the prover sees them."""
        from kubernetes.aio import client

        token = await self._identities.cluster_token(since=None)
        async with self.as_prover(posture, token) as api:
            items = [item async for item in self.pages(client.CoreV1Api(api).list_node_without_preload_content)]
        return tuple(_node(item) for item in items)

    async def workloads(self, posture: Posture) -> tuple[Workload, ...]:
        """Return all deployments, daemon sets and stateful sets, as the prover sees them."""
        from kubernetes.aio import client

        token = await self._identities.cluster_token(since=None)
        async with self.as_prover(posture, token) as api:
            apps = client.AppsV1Api(api)
            kinds = {
                "Deployment": apps.list_deployment_for_all_namespaces_without_preload_content,
                "DaemonSet": apps.list_daemon_set_for_all_namespaces_without_preload_content,
                "StatefulSet": apps.list_stateful_set_for_all_namespaces_without_preload_content,
            }
            return tuple([_workload(kind, item) for kind, pages in kinds.items() async for item in self.pages(pages)])

    async def inside(self, posture: Posture, *, as_admin: bool = False) -> Inside:
        """Return what a rotation affects in the cluster. Of secrets, only names are read.

        As admin: with the credential that the vault holds. Refused (code NoCredential) if it holds none.
        """
        answers: list[int] = []
        async with self.as_admin(posture) if as_admin else self.opened(posture) as api:
            found = await look_inside(
                self.listing(api, "application/json", answers),
                self.listing(api, METADATA, answers),
                posture.ca.fingerprint if posture.ca else "",
            )
        return replace(found, requests=sum(status != _UNAUTHORIZED for status in answers))

    async def namespace_owner(self, posture: Posture, namespace: str) -> Owner | None:
        """Return who looks after a namespace, by its labels and annotations. None if nothing says so.

        Refused if there is no such namespace, or if the prover may not read it.
        """
        from kubernetes.aio import client

        async with self.opened(posture) as api:
            found = await answer_of(
                client.CoreV1Api(api).read_namespace_without_preload_content(namespace, _request_timeout=self._timeout)
            )
        metadata = found.get("metadata") or {}
        labels, annotations = (
            [(str(key), str(value)) for key, value in (metadata.get(kind) or {}).items()]
            for kind in ("labels", "annotations")
        )
        return owner_in_namespace(namespace, labels=labels, annotations=annotations)

    def listing(self, api: ApiClient, accept: str, answers: list[int] | None = None) -> Pages:
        """Return how to list the objects at a path; `answers` gets the statuses. `METADATA` asks for no values."""
        return lambda path: self.pages(partial(_listed, api, path, accept, [] if answers is None else answers))

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        """List one node with one held credential alone, trusting the CA that serves now, and return the HTTP status.

        A valid credential of cluster-admin gets 200. The API server answers 401 once the credential is invalid.
        None if nothing is held, or if there was no HTTP response (a TLS failure is not a refusal).
        """
        from kubernetes.aio import client

        api = await self._with_held(posture, credential)
        if api is None:
            return None
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

    async def _with_held(self, posture: Posture, credential: Credential) -> ApiClient | None:
        """Return a client with one credential that the vault holds. None if it holds none of this kind."""
        from kubernetes.aio import client

        held = self._vault.held(posture.cluster)
        if held is None:
            return None
        configuration = await self._configuration(posture)
        if credential is Credential.STATIC_TOKEN:
            if not held.token:
                return None
            configuration.api_key["BearerToken"] = f"Bearer {held.token}"
            return _named(client.ApiClient(configuration))
        if not held.certificate or not hasattr(os, "memfd_create"):
            return None  # without anonymous memory files the certificate cannot be used
        with _in_memory(held.certificate) as certificate, _in_memory(held.key) as key:
            configuration.cert_file, configuration.key_file = certificate, key
            api = _named(client.ApiClient(configuration))  # reads certificate and key into its TLS context
            configuration.cert_file = configuration.key_file = None
        return api

    @asynccontextmanager
    async def as_admin(self, posture: Posture) -> AsyncIterator[ApiClient]:
        """Open a client with the held admin credential: its static token, or its certificate if it has no token."""
        api = await self._with_held(posture, Credential.STATIC_TOKEN)
        api = api or await self._with_held(posture, Credential.CERTIFICATE)
        if api is None:
            raise Refused(f"no admin credential of {posture.cluster} is held", code="NoCredential")
        async with api:
            try:
                yield api
            except (aiohttp.ClientError, TimeoutError, OSError) as err:
                raise await self._no_answer(posture, err) from err

    @asynccontextmanager
    async def opened(self, posture: Posture) -> AsyncIterator[ApiClient]:
        """Open a client of one API server as the prover. Errors of the connection are translated."""
        async with self.as_prover(posture, await self._identities.cluster_token(since=None)) as api:
            yield api

    @asynccontextmanager
    async def as_prover(self, posture: Posture, token: str) -> AsyncIterator[ApiClient]:
        """Open a client with a given token of the prover."""
        from kubernetes.aio import client

        configuration = await self._configuration(posture)
        configuration.api_key["BearerToken"] = f"Bearer {token}"
        async with _named(client.ApiClient(configuration)) as api:
            try:
                yield api
            except (aiohttp.ClientError, TimeoutError, OSError) as err:
                raise await self._no_answer(posture, err) from err

    async def _configuration(self, posture: Posture) -> Configuration:
        from kubernetes.aio import client

        if not posture.fqdn:
            raise Refused(
                f"{posture.cluster} shows no API server address",
                remedy="if the cluster is stopped, start it first (`az aks start`)",
                code="NoApiServer",
            )
        ca_pem = self._vault.authority(posture.cluster)
        if ca_pem is None or (posture.ca is not None and not self._vault.trusts(posture.cluster, posture.ca)):
            await self._arm.certificate_authority(posture.cluster)
            ca_pem = self._vault.authority(posture.cluster)
        return client.Configuration(host=f"https://{posture.fqdn}:443", api_key={}, ca_cert_data=ca_pem)

    async def _no_answer(self, posture: Posture, err: Exception) -> AksEntraError:
        """Return the error for a missing response. If the CA is not trusted, read it again: it may be rotated."""
        error = unreachable(err, posture.fqdn or "")
        if error.code != "CertificateNotTrusted":
            return error
        await self._arm.certificate_authority(posture.cluster)
        return TryLater(
            f"{posture.fqdn} does not serve under the CA that Azure last gave for {posture.cluster}",
            after=10,
            remedy="a rotation may be running: aks-entra read the CA again",
            code="CertificateNotTrusted",
        )

    async def pages(self, fetch: Callable[..., Awaitable[Any]], **options: str) -> AsyncIterator[Mapping[str, Any]]:
        """Return every item of a list, page by page. `options` are passed to `fetch`."""
        token: str | None = None
        pages = PageTrail("read a list of the API server")
        while True:
            pages.next(token or "")
            page = await answer_of(fetch(limit=PAGE, _continue=token, _request_timeout=self._timeout, **options))
            items = page.get("items", ...)  # Go writes an empty list as null; without a list the response is malformed
            if not isinstance(items, list | None) or not all(isinstance(one, dict) for one in items or ()):
                raise _none_of_its_own()
            for item in items or ():
                yield item
            token = (page.get("metadata") or {}).get("continue") or None
            if token is None:
                return


async def _listed(
    api: ApiClient, path: str, accept: str, answers: list[int], *, limit: int, _continue: str | None, **options: float
) -> Any:
    """GET one page of the list at a path, and add its status to `answers`. `accept` is the Accept header."""
    configuration = api.configuration
    query = f"{'&' if '?' in path else '?'}limit={limit}" + (f"&continue={quote(_continue)}" if _continue else "")
    response = await api.rest_client.request(  # type: ignore[no-untyped-call]  # the client's own transport has no types
        "GET",
        f"{configuration.host}{path}{query}",
        headers={
            "Accept": accept,
            "User-Agent": USER_AGENT,
            **({"Authorization": token} if (token := configuration.api_key.get("BearerToken")) else {}),
        },
        **options,
    )
    answers.append(int(response.status))
    return response


def _named(api: ApiClient) -> ApiClient:
    """Let a client say which program it is."""
    api.user_agent = USER_AGENT
    return api


def _none_of_its_own() -> Rejected:
    return Rejected(
        "the response does not come from an API server: it is not the expected list or object",
        remedy="check whether a proxy or gateway answers instead of it",
        code="Malformed",
    )


async def answer_of(request: Awaitable[Any]) -> Mapping[str, Any]:
    """Return the body of a response.

    Raises:
        Refused: the API server refuses the request.
        TryLater: 401, 408, 429 and 5xx.
        Rejected: a successful response is not a JSON object.
    """
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
            remedy="right after a change, wait; if it lasts, check that the cluster's tenant is the prover's",
            code=reason or "Unauthorized",
            status=status,
        )
    if status in {408, 429} or status >= 500:  # noqa: PLR2004 - HTTP
        raise TryLater(f"the API server has a fault: {message}", after=10, code=reason, status=status)
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
    """Return a path at which OpenSSL reads the content from anonymous memory, which is freed at the end."""
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
