"""The Graph part of an import: users, applications, groups with members, PIM, Conditional Access."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.entra.tokens import AKS_SERVER_APP_ID
from azure_sandbox.front.http import Problem
from azure_sandbox.graph.policies import completed
from azure_sandbox.world.importing.shapes import Item
from azure_sandbox.world.model import DEFAULT_OPERATOR, OPERATORS_PERMISSIONS, WorldError

Document = dict[str, Any]
PERSON = "Rehearsal Person"
KINDS = {"user": "users", "servicePrincipal": "applications", "group": "groups"}


@dataclass(slots=True, kw_only=True)
class People:
    """Directory objects by ID in lower case, and the known members and owners of groups."""

    users: dict[str, Document] = field(default_factory=dict)
    applications: dict[str, Document] = field(default_factory=dict)
    groups: dict[str, Document] = field(default_factory=dict)
    policies: list[Document] = field(default_factory=list)
    locations: list[Document] = field(default_factory=list)
    within: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # by group and relation
    by_name: dict[tuple[str, str], set[str]] = field(
        default_factory=dict
    )  # members whose group only the file name states
    timed: dict[tuple[str, str], list[Document]] = field(default_factory=dict)  # by group and key of the world
    notes: list[str] = field(default_factory=list)

    def take(self, item: Item, membership: tuple[str, str] | None) -> bool:
        """Add a document. Returns whether it is one of Graph's."""
        it = item.document
        match item.kind:
            case "user" | "servicePrincipal" | "group":
                self._take_principal(item.kind, it)
            case "other":
                self.notes.append(f"{item.where}: left out, the sandbox does not model {it['@odata.type']}")
                return True
            case "conditionalAccess":
                self._take_policy(item)
                return True
            case "location":
                self.locations.append(_location(it))
                return True
            case "eligibility" | "assigned":
                self._take_schedule(item.kind, it)
                return True
            case _:
                return False
        if membership is not None:
            self.by_name.setdefault(membership, set()).add(_id(it))
        elif item.typed and item.kind != "group":
            note = "the group of this member is unknown; call the file GROUP.members.json"
            self.notes.append(f"{item.where}: {note}")
        return True

    def _take_principal(self, kind: str, it: Document) -> None:
        if kind == "servicePrincipal" and str(it.get("appId") or "").lower() == AKS_SERVER_APP_ID:
            return  # every world has it
        held: dict[str, Document] = getattr(self, KINDS[kind])
        held[_id(it)] = {**held.get(_id(it), {}), **{key: value for key, value in it.items() if value is not None}}
        if kind != "group":
            return
        for relation in ("members", "owners"):
            if isinstance(it.get(relation), list):
                inside = self.within.setdefault((_id(it), relation), set())
                for one in it[relation]:
                    inside.add(_id(one))
                    typed = str(one.get("@odata.type") or "").rpartition(".")[2]
                    known = next((name for name in KINDS if name.lower() == typed.lower()), None)
                    if known and _id(one) not in getattr(self, KINDS[known]):
                        self._take_principal(known, one)

    def _take_policy(self, item: Item) -> None:
        """Add a policy that the sandbox can enforce. Others are left out with a note."""
        try:
            completed({key: it for key, it in item.document.items() if "@odata" not in key})
        except Problem as problem:
            self.notes.append(f"{item.where}: left out, {problem.body['error']['message']}")
        else:
            self.policies.append(item.document)

    def _take_schedule(self, kind: str, it: Document) -> None:
        key = "active" if kind == "assigned" or "assignmentType" in it else "eligible"
        if key == "active" and str(it.get("assignmentType") or "").lower() == "activated":
            return  # an activation ends before the rehearsal
        info = it.get("scheduleInfo") or {}
        entry = {
            "principal": str(it["principalId"]).lower(),
            "access": str(it.get("accessId") or "member"),
            "start": info.get("startDateTime"),
            "end": (info.get("expiration") or {}).get("endDateTime"),
        }
        kept = {name: value for name, value in entry.items() if value}
        self.timed.setdefault((str(it["groupId"]).lower(), key), []).append(kept)

    def knows(self, principal: str) -> bool:
        """Return whether an object has this ID."""
        return any(principal.lower() in it for it in (self.users, self.applications, self.groups))

    def stand_in(self, principal: str, kind: str, name: str) -> None:
        """Add an object that is only known from an assignment."""
        principal = principal.lower()
        short = principal[:8]
        match kind.lower():
            case "user":
                upn = name if "@" in name else f"user-{short}@contoso.onmicrosoft.com"
                self.users[principal] = {
                    "id": principal,
                    "displayName": name or f"user-{short}",
                    "userPrincipalName": upn,
                }
            case "group":
                self.groups[principal] = {"id": principal, "displayName": name or f"group-{short}"}
            case _:
                self.applications[principal] = {"id": principal, "displayName": name or f"application-{short}"}

    def settle(self, admin_groups: list[str]) -> None:
        """Add the members that files list to their groups. Raises WorldError for a group that no other file names."""
        for id_ in admin_groups:
            self.groups.setdefault(id_, {"id": id_})
        names: dict[str, list[str]] = {}
        for key, it in self.groups.items():
            names.setdefault(str(it.get("displayName") or "").lower(), []).append(key)
        for (wanted, relation), members in self.by_name.items():
            found = [wanted] if wanted in self.groups else names.get(wanted, [])
            if len(found) != 1:
                text = "no group in the files has" if not found else f"{len(found)} groups in the files have"
                raise WorldError(
                    f"{wanted}.{relation}.json: {text} this name; name the file after the group's id, and "
                    "also import the output of `az ad group show`"
                )
            self.within.setdefault((found[0], relation), set()).update(members)
        for (group, relation), members in tuple(self.within.items()):
            unknown = sorted(one for one in members if not self.knows(one))
            self.notes += [f"group {group}: left out, no file has the member {one}" for one in unknown]
            self.within[group, relation] = members - set(unknown)

    def domain(self) -> str:
        """Return the tenant's initial domain, derived from the UPNs."""
        domains = Counter(str(it.get("userPrincipalName") or "").rpartition("@")[2] for it in self.users.values())
        initial = [it for it, _ in domains.most_common() if it.endswith(".onmicrosoft.com")]
        return initial[0] if initial else "contoso.onmicrosoft.com"

    def operator(self, wanted: str) -> str:
        """Return the object ID of an application by name, application ID or object ID. Raises WorldError."""
        found = [
            key
            for key, it in self.applications.items()
            if wanted.lower() in {key, str(it.get("appId") or "").lower(), str(it.get("displayName") or "").lower()}
        ]
        if len(found) != 1:
            text = "no imported service principal has" if not found else "several imported service principals have"
            raise WorldError(f"--as {wanted}: {text} this name (az ad sp list)")
        permissions = ", ".join(OPERATORS_PERMISSIONS)
        self.notes.append(f"{wanted}: no file has its Graph permissions; it gets {permissions}")
        return found[0]

    def written(self, operator: str = "") -> Document:
        """Return the identity part of a world. `operator`: object ID of the application that clients sign in as."""
        unknown = {key for key in self.groups if (key, "members") not in self.within}
        person = [{"name": PERSON, "upn": f"person@{self.domain()}", "password": "rehearse"}] if unknown else []
        return {
            "servicePrincipals": [
                _application(key, it) | ({"graphPermissions": list(OPERATORS_PERMISSIONS)} if key == operator else {})
                for key, it in sorted(self.applications.items())
            ],
            "users": [*person, *(_user(key, it) for key, it in sorted(self.users.items()))],
            "groups": [
                self._group(key, it, [PERSON, operator or DEFAULT_OPERATOR] if key in unknown else None)
                for key, it in sorted(self.groups.items())
            ],
            "namedLocations": self.locations,
            "conditionalAccess": [
                {"name": str(it["displayName"]), "id": it.get("id"), "document": it} for it in self.policies
            ],
        }

    def _group(self, key: str, it: Document, stand_ins: list[str] | None) -> Document:
        """Return a group. Without a list of members, it gets a placeholder member."""
        inside = stand_ins or sorted(self.within.get((key, "members"), ()))
        return {
            "name": str(it.get("displayName") or f"group-{key[:8]}"),
            "id": key,
            "uniqueName": it.get("uniqueName"),
            "mailNickname": it.get("mailNickname"),
            "description": it.get("description"),
            "securityEnabled": bool(it.get("securityEnabled", True)),
            "mailEnabled": bool(it.get("mailEnabled", False)),
            "groupTypes": list(it.get("groupTypes") or ()),
            "roleAssignable": bool(it.get("isAssignableToRole", False)),
            "deleted": it.get("deletedDateTime") or False,
            "members": inside,
            "owners": sorted(self.within.get((key, "owners"), ())),
            "eligible": self.timed.get((key, "eligible"), []),
            "active": self.timed.get((key, "active"), []),
        }


def _id(it: Document) -> str:
    return str(it["id"]).lower()


def _user(key: str, it: Document) -> Document:
    upn = str(it.get("userPrincipalName") or f"user-{key[:8]}@contoso.onmicrosoft.com")
    return {
        "name": str(it.get("displayName") or upn),
        "upn": upn,
        "id": key,
        "enabled": bool(it.get("accountEnabled", True)),
    }


def _application(key: str, it: Document) -> Document:
    return {
        "name": str(it.get("displayName") or it.get("appDisplayName") or f"application-{key[:8]}"),
        "id": key,
        "appId": str(it["appId"]).lower() if it.get("appId") else None,
        "enabled": bool(it.get("accountEnabled", True)),
    }


def _location(it: Document) -> Document:
    return {
        "name": str(it.get("displayName") or it["id"]),
        "id": it["id"],
        "ranges": [one["cidrAddress"] for one in it.get("ipRanges") or ()],
        "countries": list(it.get("countriesAndRegions") or ()),
        "trusted": bool(it.get("isTrusted", False)),
    }
