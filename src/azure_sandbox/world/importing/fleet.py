"""The ARM part of an import: clusters with pools and maintenance windows, and assignments on scopes around them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.authorization.policies import find_definition
from azure_sandbox.arm.authorization.roles import BY_ID
from azure_sandbox.world.importing.people import People
from azure_sandbox.world.importing.shapes import Item
from azure_sandbox.world.importing.spelling import at_rest, bare, flat, raw

Document = dict[str, Any]
ABOVE = ("", "/providers/microsoft.management/managementgroups")
WINDOW = ("maintenanceWindow", "timeInWeek", "notAllowedTime")


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Subscriptions, groups and clusters, by name in lower case, and assignments on scopes."""

    names: dict[str, str] = field(default_factory=dict)  # of subscriptions
    tenants: dict[str, str] = field(default_factory=dict)  # of subscriptions
    groups: dict[tuple[str, str], Document] = field(default_factory=dict)
    clusters: dict[tuple[str, str, str], Document] = field(default_factory=dict)
    parts: list[Item] = field(default_factory=list)  # pools, windows and networks
    governing: list[Item] = field(default_factory=list)  # assignments, locks and policies
    roles: dict[str, Document] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, item: Item) -> None:
        """Add a document."""
        it, parts = item.document, item.parts
        match item.kind:
            case "subscription":
                key = str(parts.get("subscription") or it["id"]).lower()
                self.names[key] = str(it.get("displayName") or it.get("name") or f"subscription-{key[:8]}")
                if it.get("tenantId"):
                    self.tenants[key] = str(it["tenantId"]).lower()
            case "resourceGroup":
                if not it.get("managedBy"):
                    place = (parts["subscription"].lower(), parts["group"].lower())
                    self.groups[place] = {**bare({"tags": it.get("tags")}), "name": parts["group"]} | {
                        "location": str(it.get("location") or "westeurope")
                    }
            case "cluster":
                place = (parts["subscription"].lower(), parts["group"].lower())
                document = raw(it)
                at_rest(document)
                self.groups.setdefault(place, {"name": parts["group"], "location": document.get("location")})
                self.clusters[*place, parts["cluster"].lower()] = {"name": parts["cluster"], "document": document}
            case "pool" | "maintenance" | "network":
                self.parts.append(item)
            case "role":
                shown = flat(it)
                if str(shown.get("roleType") or shown.get("type")) == "CustomRole":
                    self.roles[parts["name"].lower()] = shown
            case _:
                self.governing.append(item)

    def admin_groups(self) -> list[str]:
        """Return the IDs of the clusters' admin groups."""
        found: dict[str, None] = {}
        for it in self.clusters.values():
            for one in (it["document"]["properties"].get("aadProfile") or {}).get("adminGroupObjectIDs") or ():
                found[str(one).lower()] = None
        return list(found)

    def all_tenants(self) -> Iterator[str]:
        """Yield the tenant of each subscription and cluster, repeated ones included."""
        yield from self.tenants.values()
        for it in self.clusters.values():
            entra = it["document"]["properties"].get("aadProfile") or {}
            identity = it["document"].get("identity") or {}
            if found := str(identity.get("tenantId") or entra.get("tenantID") or "").lower():
                yield found

    def written(self, people: People) -> Document:
        """Return the ARM part of a world. Principals that only assignments name are added to `people`."""
        tree = _Tree(self)
        for item in self.parts:
            self._part(item, tree)
        for item in self.governing:
            self._govern(item, tree, people)
        return {"customRoles": [_role(key, it) for key, it in self.roles.items()], "subscriptions": tree.written()}

    def _part(self, item: Item, tree: _Tree) -> None:
        it, parts = item.document, item.parts
        place = (parts["subscription"].lower(), parts["group"].lower())
        if item.kind == "network":
            tree.group(place, parts["group"], str(it.get("location") or "westeurope"))
            tree.add(tree.groups[place], "virtualNetworks", self._network(parts["name"], it))
            return
        cluster = self.clusters.get((*place, parts["cluster"].lower()))
        if cluster is None:
            self.notes.append(f"{item.where}: left out, no file has its cluster {parts['cluster']}")
            return
        if item.kind == "maintenance":
            window = {key: deepcopy(value) for key, value in flat(it).items() if key in WINDOW}
            cluster.setdefault("maintenance", {})[parts["name"]] = bare(window)
            return
        pool = {**raw(it)["properties"], "name": parts["name"]}
        pools = cluster["document"]["properties"].setdefault("agentPoolProfiles", [])
        pools[:] = [one for one in pools if one.get("name") != parts["name"]] + [pool]

    def _network(self, name: str, it: Document) -> Document:
        shown = flat(it)
        own = {str(one["document"]["properties"].get("nodeResourceGroup")).lower() for one in self.clusters.values()}
        subnets = []
        for subnet in shown.get("subnets") or ():
            inner = flat(subnet)
            held = [str(one.get("id")).lower().split("/") for one in inner.get("ipConfigurations") or ()]
            others = [one for one in held if len(one) <= 4 or one[4] not in own]  # noqa: PLR2004  # /subscriptions/x/resourceGroups/y
            prefix = inner.get("addressPrefix") or (inner.get("addressPrefixes") or [None])[0]
            subnets.append({"name": subnet["name"], "addressPrefix": prefix, "used": len(others)})
        prefixes = (shown.get("addressSpace") or {}).get("addressPrefixes") or []
        return {
            "name": name,
            "location": it.get("location"),
            "addressPrefixes": [one for one in prefixes if ":" not in one],
            "subnets": [one for one in subnets if one["addressPrefix"] and ":" not in one["addressPrefix"]],
        }

    def _govern(self, item: Item, tree: _Tree, people: People) -> None:
        shown = flat(item.document)
        match item.kind:
            case "assignment":
                key, entry = "roleAssignments", self._assignment(item, shown, people)
            case "lock":
                key, entry = (
                    "locks",
                    {"name": item.parts["name"], "level": shown.get("level"), "notes": shown.get("notes")},
                )
            case _:
                key, entry = "policies", self._policy(item, shown)
        if entry is None:
            return
        scope = normal(str(shown.get("scope") or item.parts["scope"]))
        if scope == ABOVE[0] or scope.startswith(ABOVE[1]):
            for one in tree.subscriptions.values():  # an assignment above the subscriptions applies to all of them
                tree.add(one, key, entry)
            return
        spelt = str(shown.get("scope") or item.parts["scope"])
        holder, below = tree.place(spelt)
        if holder is None:
            self.notes.append(f"{item.where}: left out, no file has the subscription of its scope {spelt}")
            return
        if below and key == "policies":
            self.notes.append(f"{item.where}: left out, a policy on {spelt} applies to no cluster")
            return
        tree.add(holder, key, {**entry, "scope": below} if below else entry)

    def _assignment(self, item: Item, shown: Document, people: People) -> Document | None:
        definition = str(shown.get("roleDefinitionId") or "").rpartition("/")[2].lower()
        known = BY_ID.get(definition)
        name = known.name if known else str((self.roles.get(definition) or {}).get("roleName") or "")
        if not name:
            role_name = shown.get("roleDefinitionName") or definition
            self.notes.append(
                f"{item.where}: left out, unknown role {role_name!r}; import the output of az role definition list"
            )
            return None
        if shown.get("condition"):
            self.notes.append(f"{item.where}: left out, the sandbox does not model conditions of role assignments")
            return None
        principal = str(shown["principalId"]).lower()
        if not people.knows(principal):
            people.stand_in(principal, str(shown.get("principalType") or ""), str(shown.get("principalName") or ""))
        return {
            "principal": principal,
            "role": name,
            "name": item.parts["name"],
            "description": shown.get("description"),
        }

    def _policy(self, item: Item, shown: Document) -> Document | None:
        definition = str(shown.get("policyDefinitionId") or "")
        found = find_definition(definition)
        if found is None:
            self.notes.append(f"{item.where}: left out, the sandbox does not know the definition {definition}")
            return None
        effect = ((shown.get("parameters") or {}).get("effect") or {}).get("value") or found.effects[0]
        return {
            "name": item.parts["name"],
            "definition": found.name,
            "effect": next((it for it in found.effects if it.lower() == str(effect).lower()), found.effects[0]),
            "displayName": shown.get("displayName") or "",
            "enforced": shown.get("enforcementMode") != "DoNotEnforce",
            "notScopes": list(shown.get("notScopes") or ()),
        }


class _Tree:
    """The subscriptions of the world while they are filled."""

    def __init__(self, fleet: Fleet) -> None:
        ids = dict.fromkeys((*(key[0] for key in fleet.clusters), *(key[0] for key in fleet.groups), *fleet.names))
        self.subscriptions: dict[str, Document] = {
            it: {"name": fleet.names.get(it, f"subscription-{it[:8]}"), "id": it} for it in sorted(ids)
        }
        self.groups = {key: dict(it) for key, it in sorted(fleet.groups.items())}
        self._clusters = dict(sorted(fleet.clusters.items()))
        self._tenants = fleet.tenants

    def group(self, place: tuple[str, str], name: str, location: str) -> None:
        """Add a resource group unless it exists."""
        self.groups.setdefault(place, {"name": name, "location": location})
        self.subscriptions.setdefault(place[0], {"name": f"subscription-{place[0][:8]}", "id": place[0]})

    @staticmethod
    def add(holder: Document, key: str, entry: Document) -> None:
        """Append an entry to a list of a holder."""
        holder.setdefault(key, []).append(bare(entry))

    def place(self, scope: str) -> tuple[Document | None, str]:
        """Return the cluster, group or subscription that contains a scope, and the rest of the scope below it."""
        parts = [it for it in scope.split("/") if it]
        low = [it.lower() for it in parts]
        if low[:1] != ["subscriptions"] or len(low) < 2 or low[1] not in self.subscriptions:  # noqa: PLR2004  # /subscriptions/x
            return None, ""
        group, cluster = 4, 8  # segments of their ids
        if (
            len(low) >= cluster
            and low[6] == "managedclusters"
            and (found := self._clusters.get((low[1], low[3], low[7])))
        ):
            return found, "/".join(parts[cluster:])
        if len(low) >= group and (here := self.groups.get((low[1], low[3]))) is not None:
            return here, "/".join(parts[group:])
        return self.subscriptions[low[1]], "/".join(parts[2:])

    def written(self) -> list[Document]:
        """Return the subscriptions as a world file lists them."""
        found = []
        for key, subscription in self.subscriptions.items():
            groups = []
            for place, group in self.groups.items():
                if place[0] == key:
                    inside = [it for at, it in self._clusters.items() if at[:2] == place]
                    groups.append({**group, "clusters": inside} if inside else group)
            found.append({**subscription, "tenant": self._tenants.get(key), "resourceGroups": groups})
        return found


def _role(key: str, it: Document) -> Document:
    (permission, *_) = it.get("permissions") or [{}]
    role: Document = bare(
        {
            "name": it.get("roleName"),
            "id": key,
            "description": it.get("description"),
            **{name: permission.get(name) for name in ("actions", "notActions", "dataActions", "notDataActions")},
            "assignableScopes": [one for one in it.get("assignableScopes") or () if one.startswith("/subscriptions/")],
        }
    )
    return role
