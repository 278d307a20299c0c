"""Gets the tokens of the runner and the prover from azure-identity, and reads the identity in a token.

The runner is `DefaultAzureCredential` with its documented defaults. A separate prover has one kind of credential: a
secret in an environment variable, a certificate or a federated token in a file, or the machine's managed identity. A
credential is read when it is needed, and stored nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jwt
from azure.identity.aio import (
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.network import Web
from aks_entra.adapters.identity.person import PersonCredential
from aks_entra.core.durations import stamp
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.errors import AksEntraError, Refused
from aks_entra.ports.migration import Caller

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from aks_entra.ports.access import PersonSpec

ARM_SCOPE: Final = "https://management.azure.com/.default"
GRAPH_SCOPE: Final = "https://graph.microsoft.com/.default"
AKS_SCOPE: Final = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The AKS server application, the same in every cloud. A token for it is the bearer token of the Kubernetes API."""

_LOGIN: Final = "login.microsoftonline.com"


class Identities:
    """The credentials of one process. Each is made once, because it contains its token cache."""

    def __init__(
        self, web: Web, prover: ProverSpec | None = None, person: PersonSpec | None = None, *, egress: str = ""
    ) -> None:
        """`egress` is the address with which this machine reaches the internet. Empty: what a token says of it."""
        self._web = web
        self._egress = egress
        self._spec = prover
        self._person = person
        self._runner = self._default()
        self._prover = None if prover else self._runner  # a separate prover is made on first use
        self._asked: datetime | None = None  # when the prover's present credential was first asked for a token
        self._asking = asyncio.Lock()

    @property
    def runner_credential(self) -> AsyncTokenCredential:
        """Return the credential for ARM and Graph."""
        return self._runner

    async def runner(self) -> Caller:
        """Return the identity that calls ARM and Graph. Refused without a credential, or by Entra (code AADSTS…)."""
        with azure("sign in to Azure", host=_LOGIN):  # a person's own client may be valid for Graph only
            token = await self._runner.get_token(GRAPH_SCOPE if self._person else ARM_SCOPE)
        return self._caller(token.token)

    async def prover(self) -> Caller:
        """Return the identity that proves sign-in: the runner, unless the fleet names another. Refused as `runner`."""
        if self._person is not None and self._spec is None:
            return await self.runner()
        return self._caller(await self.cluster_token(since=None))

    async def cluster_token(self, *, since: datetime | None) -> str:
        """Return a token of the prover for any AKS API server.

        With `since`, return one that was asked for at that time or later, because a token carries the groups of its
        issue time. Callers that ask at the same time get the same one. A managed identity's token is also cached
        outside of this process, so it may still be older.
        """
        async with self._asking:
            return await self._cluster_token(since)

    async def _cluster_token(self, since: datetime | None) -> str:
        late = since is not None and (self._asked is None or self._asked < since)
        if late or self._prover is None:  # a person has to sign in again: the earlier token carries the old groups
            self._prover = self._default() if self._spec is None else self._separate(self._spec)
            self._asked = None
        asked = self._asked or datetime.now(UTC)
        try:
            with azure("get a token for the cluster", host=_LOGIN):
                token = await self._prover.get_token(AKS_SCOPE)
        except AksEntraError as err:
            if self._spec is None or not self._spec.managed_identity:
                raise
            raise Refused(
                f"the managed identity of this machine gave no token: {err.message}",
                remedy="run the worker on a machine that has it, and put 169.254.169.254 into NO_PROXY",
                code="CredentialUnavailable",
            ) from err
        self._asked = asked
        return token.token

    async def close(self) -> None:
        """Close the credentials. Replaced ones need no closing, because they only use the shared pool."""
        for credential in {id(one): one for one in (self._runner, self._prover)}.values():
            if credential is not None:
                await credential.close()

    def _caller(self, token: str) -> Caller:
        found = caller_in(token)
        return replace(found, address=self._egress or found.address)

    def _default(self) -> AsyncTokenCredential:
        if self._person is not None:
            return PersonCredential(self._person)
        try:
            return DefaultAzureCredential(transport=self._web.transport())
        except ValueError as err:
            raise Refused(
                f"the credential in the environment variables cannot be used: {err}",
                remedy="correct or unset AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run `az login`",
                code="CredentialUnavailable",
            ) from err

    def _separate(self, spec: ProverSpec) -> AsyncTokenCredential:
        """Return the credential of a separate prover. Raises Refused if it is missing or cannot be read."""
        transport = self._web.transport()
        try:
            if spec.managed_identity:
                return ManagedIdentityCredential(client_id=spec.client_id or None, transport=transport)
            if spec.certificate_path:
                return CertificateCredential(spec.tenant_id, spec.client_id, spec.certificate_path, transport=transport)
            if spec.token_file:
                Path(spec.token_file).read_bytes()  # its absence is an error of the file, not of Entra ID
                return WorkloadIdentityCredential(
                    tenant_id=spec.tenant_id,
                    client_id=spec.client_id,
                    token_file_path=spec.token_file,
                    transport=transport,
                )
        except OSError as err:
            file = spec.certificate_path or spec.token_file
            raise Refused(
                f"the prover's credential {file} cannot be read: {err.strerror}",
                remedy="put it where the worker runs",
                code="CredentialUnavailable",
            ) from err
        except ValueError as err:
            raise Refused("the prover's certificate is no PEM or PKCS12 file", code="CredentialUnavailable") from err
        return self._with_secret(spec)

    def _with_secret(self, spec: ProverSpec) -> AsyncTokenCredential:
        secret = os.environ.get(spec.secret_from, "")
        if not secret:
            raise Refused(
                f"the prover's secret is missing: the environment variable {spec.secret_from} is not set",
                remedy=f"set {spec.secret_from} where the worker runs",
                code="CredentialUnavailable",
            )
        try:
            return ClientSecretCredential(spec.tenant_id, spec.client_id, secret, transport=self._web.transport())
        except ValueError as err:
            raise Refused(f"the prover cannot be used: {err}", code="CredentialUnavailable") from err


def caller_in(token: str) -> Caller:
    """Return the identity in an access token. The service that gets the token checks its signature."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as err:
        raise Refused("the access token cannot be read", code="InvalidToken") from err
    names = (
        claims.get(name) for name in ("upn", "unique_name", "preferred_username", "app_displayname", "appid", "azp")
    )
    return Caller(
        object_id=str(claims.get("oid") or claims.get("sub") or ""),
        tenant_id=str(claims.get("tid") or ""),
        name=next((str(name) for name in names if name), ""),
        address=str(claims.get("ipaddr") or ""),  # only in a person's token: from where Entra ID saw the sign-in
    )


def issued_at(token: str) -> str:
    """Return when an access token was issued (`iat`), ISO 8601 in UTC. Empty if it does not say."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return stamp(datetime.fromtimestamp(int(claims["iat"]), UTC))
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""
