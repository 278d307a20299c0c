"""Identities in a world file: tenants, applications, users, groups, PIM, Conditional Access."""

from __future__ import annotations

import ipaddress
import re
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AliasGenerator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from azure_sandbox.entra.roles import template_ids
from azure_sandbox.graph.access import KNOWN


def _moment(value: object) -> object:
    if isinstance(value, str) and (days := re.fullmatch(r"(\d+) days? ago", value)):
        return timedelta(days=int(days[1]))
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _ahead(value: object) -> object:
    if isinstance(value, str) and (found := re.fullmatch(r"in (\d+) (minute|hour|day)s?", value)):
        return timedelta(**{f"{found[2]}s": int(found[1])})
    return _moment(value)


def _guid(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a GUID; write one such as {uuid.uuid4()}, or leave the key out") from None


Moment = Annotated[datetime | timedelta, BeforeValidator(_moment)]  # a timedelta counts back from now
Ahead = Annotated[datetime | timedelta, BeforeValidator(_ahead)]  # a timedelta counts from now
Guid = Annotated[str, BeforeValidator(_guid)]


class Model(BaseModel):
    """A mapping in a world file. Keys are camelCase, and unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=AliasGenerator(validation_alias=to_camel),
    )


class TenantModel(Model):
    """A tenant. `name` is its initial domain."""

    id: Guid | None = None
    name: str = "contoso.onmicrosoft.com"
    display_name: str | None = None


class FederatedCredentialModel(Model):
    """A federated credential. `issuer` is one of `issuers`, or one without known keys."""

    name: str = "federation"
    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"


class IssuerModel(Model):
    """An issuer of federated assertions with its public keys: PEM texts, or paths relative to the world file."""

    issuer: str
    keys: tuple[str, ...] = Field(min_length=1)


class ServicePrincipalModel(Model):
    """An application in the home tenant.

    `certificates` are PEM texts, or paths relative to the world file. Users sign in with a `publicClient`. Its
    `delegatedPermissions` have admin consent: Graph's by name, others as `resource/name`. `tokenVersion` is the version
    of the tokens that it accepts as a resource. With `groupMembershipClaims` its ID tokens name the user's groups.
    """

    name: str
    id: Guid | None = None
    app_id: Guid | None = None
    secret: str | None = None
    secret_expired: bool = False
    enabled: bool = True
    graph_permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    federated_credentials: tuple[FederatedCredentialModel, ...] = ()
    public_client: bool = False
    delegated_permissions: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    token_version: Literal[1, 2] = 1
    group_membership_claims: Literal["SecurityGroup"] | None = None

    @model_validator(mode="after")
    def _known(self) -> ServicePrincipalModel:
        delegated = {it for it in self.delegated_permissions if "/" not in it}
        if unknown := sorted({*self.graph_permissions, *delegated} - KNOWN):
            raise ValueError(
                f"unknown Graph permissions: {', '.join(unknown)}; the sandbox knows {', '.join(sorted(KNOWN))}"
            )
        template_ids(frozenset(self.roles))
        return self


class UserModel(Model):
    """A user. Without a password, the password grant is refused."""

    name: str
    upn: str
    id: Guid | None = None
    password: str | None = None
    enabled: bool = True
    mfa: bool = True
    device: Literal["none", "compliant", "joined"] = "none"
    roles: tuple[str, ...] = ()
    ip: str = "203.0.113.10"

    @model_validator(mode="after")
    def _known(self) -> UserModel:
        template_ids(frozenset(self.roles))
        ipaddress.ip_address(self.ip)
        return self


class TimedModel(Model):
    """A member or owner through PIM, from `start` (default: now) until `end` (default: permanent)."""

    principal: str
    access: Literal["member", "owner"] = "member"
    start: Moment | None = None
    end: Ahead | None = None


class PolicyRulesModel(Model):
    """The rules for activating a group, as far as they differ from PIM's defaults."""

    access: Literal["member", "owner"] = "member"
    maximum_duration: str = "PT8H"
    require: tuple[Literal["MultiFactorAuthentication", "Justification", "Ticketing"], ...] = ("Justification",)
    approvers: tuple[str, ...] = ()
    permanent_eligibility: bool = False
    permanent_assignment: bool = False


class GroupModel(Model):
    """A group. Members and owners are names, UPNs or IDs. `deleted` is true (just now) or a date."""

    name: str
    id: Guid | None = None
    unique_name: str | None = None
    mail_nickname: str | None = None
    description: str | None = None
    security_enabled: bool = True
    mail_enabled: bool = False
    group_types: tuple[Literal["Unified", "DynamicMembership"], ...] = ()
    role_assignable: bool = False
    members: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    deleted: bool | Moment = False
    eligible: tuple[TimedModel, ...] = ()
    active: tuple[TimedModel, ...] = ()
    activation: tuple[PolicyRulesModel, ...] = ()


class LocationModel(Model):
    """A named location: address ranges, which may be trusted, or countries."""

    name: str
    id: Guid | None = None
    ranges: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    trusted: bool = False


class ConditionalAccessModel(Model):
    """A Conditional Access policy. Users, groups, applications and locations are written by name or ID.

    `document` is a raw policy as Graph returns it. It overrides all other keys.
    """

    name: str
    id: Guid | None = None
    state: Literal["enabled", "disabled", "reportOnly"] = "enabled"
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    exclude_users: tuple[str, ...] = ()
    exclude_groups: tuple[str, ...] = ()
    applications: tuple[str, ...] = ("All",)
    client_apps: tuple[str, ...] = ("all",)
    locations: tuple[str, ...] = ()
    exclude_locations: tuple[str, ...] = ()
    device_code: bool = False
    grant: tuple[Literal["block", "mfa", "compliantDevice", "domainJoinedDevice"], ...] = ("mfa",)
    any_of_grant: bool = False
    document: dict[str, Any] | None = None
