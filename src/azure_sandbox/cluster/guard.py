"""Authentication and authorization of a cluster. AKS asks its guard webhooks the same two questions.

Disabling local accounts is no input: credentials that were handed out work until the keys are replaced.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from azure_sandbox.cluster.certificates import subject_of
from azure_sandbox.cluster.credentials import MASTERS, Generation
from azure_sandbox.cluster.rbac import Attributes, Caller, permits
from azure_sandbox.cluster.regime import Regime
from azure_sandbox.cluster.store import Store
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import Claims, InvalidToken, Tokens

CREDENTIAL = "authentication.kubernetes.io/credential-id"
AUTHENTICATED = "system:authenticated"
NO_ACCESS_IN_AZURE = "User does not have access to the resource in Azure. Update role assignment to allow access."
OVERAGE = (
    "service principal with group membership exceeding 200 is not supported. See https://learn.microsoft.com/en-us/"
    "azure/aks/kubelogin-authentication#kubelogin-authentication-in-aks-limitations"
)
READS, WRITES = ("get", "list", "watch"), ("create", "patch", "update")
ACTIONS = {**dict.fromkeys(READS, "read"), **dict.fromkeys(WRITES, "write")}
ACTIONS |= {"delete": "delete", "deletecollection": "delete"}
CLUSTER_TYPE = "Microsoft.ContainerService/managedClusters"


class AzureAccess(Protocol):
    """Azure RBAC's answer for a data action on a scope: the name of the role that allows it, or None."""

    def __call__(self, principals: Iterable[str], data_action: str, scope: str) -> str | None:
        """Ask for a user's object ID and the groups in the token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision about a request, and the reason."""

    allowed: bool
    reason: str = ""


class Guard:
    """Authentication and authorization of one cluster."""

    def __init__(
        self,
        *,
        resource_id: str,
        store: Store,
        directory: Directory,
        tokens: Tokens,
        azure: AzureAccess,
        regime: Callable[[], Regime],
        generation: Callable[[], Generation],
    ) -> None:
        self._id = resource_id
        self._store = store
        self._directory = directory
        self._tokens = tokens
        self._azure = azure
        self._regime = regime
        self._generation = generation

    def who(self, authorization: str | None, certificate: bytes | None, now: dt.datetime) -> Caller | None:
        """Return the caller: by a client certificate of the present CA, else by the bearer token.

        Returns None if neither is valid.
        """
        if certificate is not None and (found := subject_of(certificate, self._generation().authority, now)):
            name, organizations = found
            number = sha256(certificate).hexdigest()
            return Caller(
                name=name, groups=(*organizations, AUTHENTICATED), extra={CREDENTIAL: [f"X509SHA256={number}"]}
            )
        scheme, _, token = (authorization or "").partition(" ")
        return self.whose(token.strip(), now) if scheme.lower() == "bearer" and token.strip() else None

    def whose(self, token: str, now: dt.datetime) -> Caller | None:
        """Return the caller of a bearer token: static, of a service account, or of Entra ID.

        Returns None if the token is not valid.
        """
        generation = self._generation()
        if generation.is_token(token):
            return Caller(name="masterclient", groups=(MASTERS, AUTHENTICATED))
        if claims := generation.service_account(token, now):
            return self._service_account(claims)
        try:
            return self.entra(token)
        except InvalidToken:
            return None

    def _service_account(self, claims: dict[str, Any]) -> Caller | None:
        bound = claims["kubernetes.io"]
        namespace, name, uid = bound["namespace"], bound["serviceaccount"]["name"], bound["serviceaccount"]["uid"]
        account = self._store.get(("", "serviceaccounts"), namespace, name)
        if account is None or account["metadata"]["uid"] != uid:
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return Caller(name=claims["sub"], uid=uid, groups=groups)

    def entra(self, token: str) -> Caller:
        """Return the caller of an Entra token, as AKS's authentication webhook does. Raises InvalidToken."""
        regime = self._regime()
        if not regime.audiences:
            raise InvalidToken("this cluster does not know Entra")
        claims = self._tokens.read(token, regime.audiences)
        if claims.tid.lower() != regime.tenant.lower():
            raise InvalidToken(f"the issuer is not the cluster's tenant {regime.tenant}")
        groups = tuple(self._groups(claims))
        return Caller(
            name=claims.upn or claims.oid,
            groups=(*groups, AUTHENTICATED),
            extra={"oid": [claims.oid]},
            entra=True,
        )

    def _groups(self, claims: Claims) -> Iterable[str]:
        if not claims.overage:
            return claims.groups or ()
        if claims.idtyp == "app":
            raise InvalidToken(OVERAGE)
        return sorted(self._directory.groups_of(claims.oid))

    def may(self, caller: Caller, attributes: Attributes) -> Answer:
        """Authorize a request: system:masters may do anything, then Kubernetes RBAC decides, then Azure RBAC."""
        regime = self._regime()
        if MASTERS in caller.groups:
            return Answer(allowed=True)
        if not regime.kubernetes_rbac:
            return Answer(allowed=True, reason="RBAC is disabled")
        if reason := permits(self._store, caller, attributes):
            return Answer(allowed=True, reason=reason)
        return self.azure(caller, attributes)

    @property
    def asks_azure(self) -> bool:
        """Return whether Azure RBAC is asked after Kubernetes RBAC."""
        return self._regime().azure_rbac

    def azure(self, caller: Caller, attributes: Attributes) -> Answer:
        """Return Azure RBAC's decision, as AKS's authorization webhook does.

        If Azure RBAC is not asked, the answer is no, without a reason.
        """
        if not (self.asks_azure and caller.entra):
            return Answer(allowed=False)
        principals = (*caller.extra["oid"], *(it for it in caller.groups if not it.startswith("system:")))
        scope = f"{self._id}/namespaces/{attributes.namespace}" if attributes.namespace else self._id
        role = self._azure(principals, data_action(attributes), scope)
        if role is None:
            return Answer(allowed=False, reason=NO_ACCESS_IN_AZURE)
        return Answer(allowed=True, reason=f"Access allowed by Azure RBAC Role {role} to user {caller.name}")


def data_action(attributes: Attributes) -> str:
    """Return Azure RBAC's data action, e.g. `Microsoft.ContainerService/managedClusters/apps/deployments/read`."""
    parts = [CLUSTER_TYPE]
    if attributes.path:
        parts.append(attributes.path.strip("/").partition("/")[0] or "*")
    elif attributes.resource == "*":
        parts.append("*")
    else:
        parts += [it for it in (attributes.group, attributes.resource, attributes.subresource) if it and it != "*"]
    if parts[-1] == "*" and attributes.verb == "*":
        return "/".join(parts)
    action = "action" if attributes.subresource in {"exec", "attach", "portforward"} else ACTIONS.get(attributes.verb)
    parts.append(action or ("*" if attributes.verb == "*" else f"{attributes.verb}/action"))
    return "/".join(parts)


def forbidden_message(caller: Caller, attributes: Attributes, reason: str) -> str:
    """Return the API server's message for a forbidden request."""
    if attributes.path:
        message = f'forbidden: User "{caller.name}" cannot {attributes.verb} path "{attributes.path}"'
    else:
        what = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
        named = f' "{attributes.name}"' if attributes.name else ""
        where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
        message = (
            f'{what}{named} is forbidden: User "{caller.name}" cannot {attributes.verb} resource '
            f'"{attributes.whole_resource}" in API group "{attributes.group}" {where}'
        )
    return f"{message}: {reason}" if reason else message
