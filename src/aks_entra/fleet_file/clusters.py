"""The parts of a fleet file that say which clusters are in the fleet, and which are not."""

from __future__ import annotations

from typing import Any, Self

from pydantic import StrictBool, model_validator

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.fleet import Selector
from aks_entra.fleet_file.errors import Mistake, Mistakes
from aks_entra.fleet_file.fields import ClusterResourceId, Named, Tags
from aks_entra.fleet_file.part import Part as _Part
from aks_entra.fleet_file.part import pairs


class _SomeClusters(_Part):
    """Keys that narrow a selection, or one cluster by its id."""

    id: ClusterResourceId | None = None
    """The ARM id of one cluster. Excludes the other keys."""
    subscription: Named | None = None
    """Id or display name of a subscription."""
    resource_group: Named | None = None
    """Only clusters of this resource group."""
    name: Named | None = None
    """Only the cluster of this name."""
    tags: Tags | None = None
    """Only clusters with all these tags."""

    @model_validator(mode="after")
    def _by_id_alone(self) -> Self:
        others = [name for name in self.model_fields_set - {"id"} if getattr(self, name)]
        if self.id and others:
            raise Mistakes(
                Mistake("`id` already names one cluster", f"remove `{name}` or `id`", at=(name,))
                for name in sorted(others)
            )
        return self

    def _selector(self, **place: Any) -> Selector:
        if self.id:
            cluster = ClusterId.parse(self.id)
            return Selector(
                subscription=cluster.subscription_id.lower(), resource_group=cluster.resource_group, name=cluster.name
            )
        return Selector(
            **place,
            subscription=self.subscription or "",
            resource_group=self.resource_group,
            name=self.name,
            tags=pairs(self.tags),
        )


class ClustersFile(_SomeClusters):
    """Clusters of one subscription, of a management group or of the whole tenant, or one cluster by its id."""

    management_group: Named | None = None
    """Id (not the display name) of a management group: the clusters of every subscription below it."""
    tenant: StrictBool = False
    """The clusters of every subscription that the identity can see."""

    @model_validator(mode="after")
    def _one_place(self) -> ClustersFile:
        places = [name for name in ("subscription", "management_group", "tenant") if getattr(self, name)]
        if not self.id and not places:
            remedy = "add `subscription: <name or id>`, `management_group: <id>` or `tenant: true`, or use `id`"
            raise Mistakes([Mistake("no subscription is named", remedy)])
        if not self.id and len(places) > 1:
            raise Mistakes(
                Mistake(f"`{places[0]}` already says where the clusters are", f"remove `{name}`", at=(name,))
                for name in places[1:]
            )
        return self

    def to_selector(self) -> Selector:
        """Return the same as a core value."""
        return self._selector(management_group=self.management_group, tenant=self.tenant)


class ExcludedFile(_SomeClusters):
    """Clusters that are not in the fleet, although `clusters` selects them. Without a subscription: in all of them."""

    @model_validator(mode="after")
    def _names_something(self) -> ExcludedFile:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise Mistakes(
                [Mistake("nothing is named", "add `name`, `resource_group`, `tags`, `subscription` or `id`")]
            )
        return self

    def to_selector(self) -> Selector:
        """Return the same as a core value."""
        return self._selector()
