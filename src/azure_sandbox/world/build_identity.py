"""Build the directory from the identities of a world: applications, users, groups, PIM, Conditional Access."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from azure_sandbox.clock import Clock
from azure_sandbox.entra import pim, pim_rules, pim_state
from azure_sandbox.entra.asked import NAMES
from azure_sandbox.entra.conditional import REPORT_ONLY, Policy
from azure_sandbox.entra.directory import Directory, FederatedCredential, Group, ServicePrincipal, Tenant, User
from azure_sandbox.entra.roles import template_ids
from azure_sandbox.entra.tokens import AKS_SERVER_APP_ID
from azure_sandbox.front.http import Problem
from azure_sandbox.graph.policies import completed
from azure_sandbox.world.identity import (
    ConditionalAccessModel,
    GroupModel,
    LocationModel,
    PolicyRulesModel,
    ServicePrincipalModel,
    TimedModel,
    UserModel,
)
from azure_sandbox.world.model import World, WorldError, steady_id

Resolve = Callable[[str, str], str]


def service_principal(model: ServicePrincipalModel, home: Tenant, folder: Path) -> ServicePrincipal:
    """Return a service principal. Raises WorldError for a certificate that cannot be read."""
    secret = (model.secret or f"sandbox-{secrets.token_urlsafe(30)}",)
    where = f"service principal {model.name}: certificates"
    return ServicePrincipal(
        id=model.id or steady_id("servicePrincipal", home.id, model.name),
        app_id=model.app_id or steady_id("application", home.id, model.name),
        display_name=model.name,
        secrets=() if model.secret_expired or model.public_client else secret,
        expired_secrets=secret if model.secret_expired else (),
        enabled=model.enabled,
        graph_permissions=frozenset(model.graph_permissions),
        certificates=tuple(_certificate(it, folder, where) for it in model.certificates),
        federated=tuple(FederatedCredential(**it.model_dump()) for it in model.federated_credentials),
        public=model.public_client,
        delegated=frozenset(model.delegated_permissions),
        redirects=model.redirect_uris,
        token_version=model.token_version,
        group_claims=model.group_membership_claims is not None,
        roles=template_ids(frozenset(model.roles)),
    )


def aks_server(home: Tenant) -> ServicePrincipal:
    """Return Microsoft's application for the API servers of AKS."""
    return ServicePrincipal(
        id=steady_id("servicePrincipal", home.id, AKS_SERVER_APP_ID),
        app_id=AKS_SERVER_APP_ID,
        display_name=NAMES[AKS_SERVER_APP_ID],
        first_party=True,
    )


def user(model: UserModel, home: Tenant) -> User:
    """Return a user."""
    return User(
        id=model.id or steady_id("user", home.id, model.upn),
        upn=model.upn,
        display_name=model.name,
        enabled=model.enabled,
        password=model.password,
        mfa=model.mfa,
        device=model.device,
        roles=template_ids(frozenset(model.roles)),
        ip=model.ip,
    )


def group(model: GroupModel, home: Tenant, clock: Clock) -> Group:
    """Return a group without members."""
    now = clock.now()
    deleted = now if model.deleted is True else _moment(model.deleted or None, now)
    return Group(
        id=model.id or steady_id("group", home.id, model.name),
        display_name=model.name,
        unique_name=model.unique_name,
        mail_nickname=model.mail_nickname or "".join(it for it in model.name if it.isalnum() or it in "-_"),
        description=model.description,
        security_enabled=model.security_enabled,
        mail_enabled=model.mail_enabled,
        group_types=model.group_types,
        role_assignable=model.role_assignable,
        deleted_at=deleted,
        created_at=min(now, deleted or now),
        visible_at=min(now, deleted or now),
    )


def privilege(model: GroupModel, made: Group, directory: Directory, resolve: Resolve) -> None:
    """Add the PIM rules and schedules of a group."""
    for rules in model.activation:
        _rules(rules, model, made, directory, resolve)
    kinds: tuple[tuple[pim_state.ScheduleKind, tuple[TimedModel, ...]], ...] = (
        ("eligibility", model.eligible),
        ("assignment", model.active),
    )
    now = directory.clock.now()
    for kind, entries in kinds:
        for entry in entries:
            who = resolve(entry.principal, f"group {model.name}: {'eligible' if kind == 'eligibility' else 'active'}")
            request = steady_id(kind, made.id, who, entry.access)
            schedule = pim_state.Schedule(
                id=f"{made.id}_{entry.access}_{request}",
                kind=kind,
                group=made.id,
                principal=who,
                access=entry.access,
                start=_moment(entry.start, now) or now,
                end=_ahead(entry.end, now),
                created=now - directory.replication - timedelta(days=1),
                by_request=request,
            )
            directory.pim.onboarded.add(made.id)
            pim.put(directory, schedule)


def policies(world: World, directory: Directory, resolve: Resolve) -> None:
    """Add licences, issuers, named locations and Conditional Access policies. Raises WorldError."""
    directory.licences = frozenset(world.licences)
    directory.security_defaults = world.security_defaults
    for issuer in world.issuers:
        keys = [_key(it, world.folder, f"issuer {issuer.issuer}: keys") for it in issuer.keys]
        directory.issuers[issuer.issuer] = {"keys": keys}
    if world.conditional_access and "P1" not in world.licences:
        raise WorldError("conditionalAccess: policies need the licence P1; add it to `licences`")
    places = {}
    for location in world.named_locations:
        document = _location(location, directory.tenant)
        places[location.name.lower()] = document["id"]
        directory.conditional.locations[document["id"]] = document
    for model in world.conditional_access:
        policy = _policy(model, directory, resolve, places)
        directory.conditional.policies[policy["id"]] = policy


def _rules(model: PolicyRulesModel, of: GroupModel, made: Group, directory: Directory, resolve: Resolve) -> None:
    rules = pim.rules_of(directory, made.id, model.access)
    where = f"group {of.name}: activation"
    try:
        pim_rules.duration(model.maximum_duration)
    except ValueError as error:
        raise WorldError(f"{where}: maximumDuration: {error}") from error
    rules["Expiration_EndUser_Assignment"]["maximumDuration"] = model.maximum_duration
    rules["Enablement_EndUser_Assignment"]["enabledRules"] = list(model.require)
    rules["Expiration_Admin_Eligibility"]["isExpirationRequired"] = not model.permanent_eligibility
    rules["Expiration_Admin_Assignment"]["isExpirationRequired"] = not model.permanent_assignment
    if model.approvers:
        ids = [resolve(it, f"{where}: approvers") for it in model.approvers]
        people = tuple(it for it in ids if directory.kind_of(it) == "User")
        groups = tuple(it for it in ids if directory.kind_of(it) == "Group")
        rules["Approval_EndUser_Assignment"]["setting"] = pim_rules.approval(people, groups, required=True)
    directory.pim.onboarded.add(made.id)


def _location(model: LocationModel, home: Tenant) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": model.id or steady_id("location", home.id, model.name),
        "displayName": model.name,
    }
    if model.countries:
        return {"@odata.type": "#microsoft.graph.countryNamedLocation", **document} | {
            "countriesAndRegions": list(model.countries),
            "includeUnknownCountriesAndRegions": False,
        }
    ranges = [{"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": it} for it in model.ranges]
    return {"@odata.type": "#microsoft.graph.ipNamedLocation", **document} | {
        "isTrusted": model.trusted,
        "ipRanges": ranges,
    }


def _policy(model: ConditionalAccessModel, directory: Directory, resolve: Resolve, places: Mapping[str, str]) -> Policy:
    where = f"conditionalAccess {model.name}"
    identity = model.id or steady_id("policy", directory.tenant.id, model.name)
    created = f"{directory.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    if model.document is not None:
        sent = {key: it for key, it in model.document.items() if "@odata" not in key}
        try:
            whole = completed({"displayName": model.name, **sent})
        except Problem as problem:
            raise WorldError(f"{where}: document: {problem.body['error']['message']}") from problem
        return {"id": identity, **whole, "createdDateTime": model.document.get("createdDateTime") or created}

    def ids(names: tuple[str, ...]) -> list[str]:
        return [it if it in {"All", "None"} else resolve(it, where) for it in names]

    def located(names: tuple[str, ...]) -> list[str]:
        return [places.get(it.lower(), it) for it in names]

    applications = []
    for name in model.applications:
        found = None if name == "All" else directory.principal(resolve(name, where))
        applications.append(found.app_id if isinstance(found, ServicePrincipal) else name)
    body: Policy = {
        "displayName": model.name,
        "state": REPORT_ONLY if model.state == "reportOnly" else model.state,
        "conditions": {
            "users": {
                "includeUsers": ids(model.users),
                "includeGroups": ids(model.groups),
                "excludeUsers": ids(model.exclude_users),
                "excludeGroups": ids(model.exclude_groups),
            },
            "applications": {"includeApplications": applications},
            "clientAppTypes": list(model.client_apps),
        },
        "grantControls": {
            "operator": "OR" if model.any_of_grant else "AND",
            "builtInControls": list(model.grant),
        },
    }
    if model.locations or model.exclude_locations:
        body["conditions"]["locations"] = {
            "includeLocations": located(model.locations) or ["All"],
            "excludeLocations": located(model.exclude_locations),
        }
    if model.device_code:
        body["conditions"]["authenticationFlows"] = {"transferMethods": "deviceCodeFlow"}
    return {"id": identity, **completed(body), "createdDateTime": created}


def _text(written: str, folder: Path, where: str) -> bytes:
    if "-----BEGIN" in written:
        return written.encode()
    try:
        return (folder / written).read_bytes()
    except OSError as error:
        raise WorldError(
            f"{where}: {written}: {error.strerror}; write a PEM text or a path relative to the world file"
        ) from error


def _certificate(written: str, folder: Path, where: str) -> bytes:
    try:
        return x509.load_pem_x509_certificate(_text(written, folder, where)).public_bytes(Encoding.DER)
    except ValueError as error:
        raise WorldError(f"{where}: not a PEM certificate: {error}") from error


def _key(written: str, folder: Path, where: str) -> dict[str, Any]:
    try:
        key = load_pem_public_key(_text(written, folder, where))
    except ValueError as error:
        raise WorldError(f"{where}: not a PEM public key: {error}") from error
    if isinstance(key, RSAPublicKey):
        return dict(json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key)))
    if isinstance(key, EllipticCurvePublicKey):
        return dict(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)))
    raise WorldError(f"{where}: the key is neither RSA nor EC")


def _moment(written: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now - written if isinstance(written, timedelta) else written


def _ahead(written: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now + written if isinstance(written, timedelta) else written
