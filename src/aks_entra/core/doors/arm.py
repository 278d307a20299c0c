"""The doors that Azure Resource Manager shows: JWT authenticators, managed namespaces and SSH to nodes."""

from __future__ import annotations

from typing import Final

from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.core.doors.model import Door, DoorKind, closed, door_kind, first_of, not_looked_at, opened

JWT_AUTHENTICATORS: Final = "jwt-authenticators"
MANAGED_NAMESPACES: Final = "managed-namespaces"
NODE_SSH: Final = "node-ssh"

_LIST_CREDENTIAL: Final = "Microsoft.ContainerService/managedClusters/managedNamespaces/listCredential/action"
_SHUT: Final = frozenset({"disabled", "entraid"})
"""Values of `securityProfile.sshAccess`, in lower case, with which no key of a local user opens a node."""


@door_kind(JWT_AUTHENTICATORS, "JWT authenticators")
def jwt_authenticators(facts: DoorFacts) -> Door:
    """The API server accepts tokens of other issuers, whatever Microsoft Entra ID says (`jwtAuthenticators`)."""
    found = facts.jwt_authenticators
    if isinstance(found, Unread):
        return not_looked_at(JWT_AUTHENTICATORS, found)
    if not found:
        return closed(JWT_AUTHENTICATORS, "ARM lists no JWT authenticator")
    return opened(
        JWT_AUTHENTICATORS,
        *first_of(f"{one.name} accepts tokens of {one.issuer or 'an issuer that ARM does not show'}" for one in found),
        remedy="delete the authenticators that nobody needs: `az aks jwtauthenticator delete`",
    )


@door_kind(MANAGED_NAMESPACES, "Managed namespaces")
def managed_namespaces(facts: DoorFacts) -> Door:
    """ARM hands out a kubeconfig for each managed namespace, by a right of its own, to holders of a role on it."""
    found = facts.managed_namespaces
    if isinstance(found, Unread):
        return not_looked_at(MANAGED_NAMESPACES, found)
    if not found:
        return closed(MANAGED_NAMESPACES, "ARM lists no managed namespace")
    return opened(
        MANAGED_NAMESPACES,
        *first_of(f"{name}: everyone with {_LIST_CREDENTIAL} or a role on this namespace" for name in found),
        remedy="check who holds roles on each namespace: `az role assignment list --scope NAMESPACE_ID`",
    )


@door_kind(NODE_SSH, "SSH to nodes as a local user")
def node_ssh(facts: DoorFacts) -> Door:
    """Holders of a private key can open nodes of a pool with `securityProfile.sshAccess` LocalUser.

    Microsoft's page on SSH to nodes says that a change takes effect when a node is reimaged. ARM does not show that.
    """
    posture = facts.posture
    if isinstance(posture, Unread):
        return not_looked_at(NODE_SSH, posture)
    ssh = [(pool.name, pool.ssh_access) for pool in posture.pools]
    unknown = [_shown(name, access) for name, access in ssh if access.casefold() not in _SHUT | {"localuser"}]
    local = [
        f"{name}: everyone with a private key of its local user" for name, at in ssh if at.casefold() == "localuser"
    ]
    if local:
        remedy = "`az aks nodepool update --ssh-access disabled`, then `az aks nodepool upgrade --node-image-only`"
        return opened(NODE_SSH, *first_of(local), *first_of(unknown), remedy=remedy)
    if unknown or not ssh:
        why = "; ".join(first_of(unknown)) or "ARM lists no pool of this cluster"
        return not_looked_at(NODE_SSH, Unread(why=why, remedy="look with `az aks nodepool show`"))
    return closed(NODE_SSH, *first_of(f"{name}: {access}" for name, access in ssh), "on nodes that were reimaged since")


def _shown(name: str, access: str) -> str:
    return (
        f"{name}: ARM shows sshAccess {access}, which this version does not know"
        if access
        else (f"{name}: ARM does not show sshAccess")
    )


KINDS: tuple[DoorKind, ...] = (jwt_authenticators, managed_namespaces, node_ssh)
