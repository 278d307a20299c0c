"""Who acts and who proves: tokens from azure-identity, and what is written in them.

The runner is `DefaultAzureCredential` with its documented defaults. A prover of its own is a service principal whose
secret stands in an environment variable; it is read when it is needed and kept nowhere else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import jwt
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential

from aks_entra.adapters.failures import azure
from aks_entra.adapters.network import Web
from aks_entra.adapters.person import PersonCredential
from aks_entra.core.fleet import ProverSpec
from aks_entra.errors import Refused
from aks_entra.ports import Caller

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from aks_entra.access_ports import PersonSpec

ARM_SCOPE: Final = "https://management.azure.com/.default"
GRAPH_SCOPE: Final = "https://graph.microsoft.com/.default"
AKS_SCOPE: Final = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The server application of AKS, the same in every cloud: its token is the bearer token of the Kubernetes API."""

_LOGIN: Final = "login.microsoftonline.com"


class Identities:
    """The credentials of one process: each made once, because its token cache lives inside."""

    def __init__(self, web: Web, prover: ProverSpec | None = None, person: PersonSpec | None = None) -> None:
        self._web = web
        self._spec = prover
        self._person = person
        self._runner = self._default()
        self._prover = None if prover else self._runner  # a prover of its own is made when it is first needed

    @property
    def runner_credential(self) -> AsyncTokenCredential:
        """What speaks to ARM and Graph."""
        return self._runner

    async def runner(self) -> Caller:
        """Who speaks to ARM and Graph. Refused when no credential is found or it is refused (code AADSTS…)."""
        with azure("sign in to Azure", host=_LOGIN):  # a person's own client is good for Graph, perhaps not for ARM
            token = await self._runner.get_token(GRAPH_SCOPE if self._person else ARM_SCOPE)
        return caller_in(token.token)

    async def prover(self) -> Caller:
        """Who proves sign-in: the runner, unless the fleet names another. Refused as above."""
        if self._person is not None and self._spec is None:
            return await self.runner()
        return caller_in(await self.cluster_token(fresh=False))

    async def cluster_token(self, *, fresh: bool) -> str:
        """A token of the prover for any AKS API server. `fresh`: asked for anew, since groups travel in the token.

        A managed identity's token is also cached outside of this process; then it is as new as Azure gives it.
        """
        if fresh or self._prover is None:  # a person signs in once more: what they got before carries the old groups
            self._prover = self._default() if self._spec is None else self._service_principal(self._spec)
        with azure("get a token for the cluster", host=_LOGIN):
            token = await self._prover.get_token(AKS_SCOPE)
        return token.token

    async def close(self) -> None:
        """Let go of the credentials. Those that a fresh one replaced had nothing of their own: the pool is shared."""
        for credential in {id(one): one for one in (self._runner, self._prover)}.values():
            if credential is not None:
                await credential.close()

    def _default(self) -> AsyncTokenCredential:
        if self._person is not None:
            return PersonCredential(self._person)
        try:
            return DefaultAzureCredential(transport=self._web.transport())
        except ValueError as err:
            raise Refused(
                f"the credential that the environment describes cannot be used: {err}",
                remedy="correct or unset AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run `az login`",
                code="CredentialUnavailable",
            ) from err

    def _service_principal(self, spec: ProverSpec) -> AsyncTokenCredential:
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
    """Who an access token is made out to. Its signature is the service's to check, not ours."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as err:
        raise Refused("the token that was given cannot be read", code="InvalidToken") from err
    names = (
        claims.get(name) for name in ("upn", "unique_name", "preferred_username", "app_displayname", "appid", "azp")
    )
    return Caller(
        object_id=str(claims.get("oid") or claims.get("sub") or ""),
        tenant_id=str(claims.get("tid") or ""),
        name=next((str(name) for name in names if name), ""),
    )
