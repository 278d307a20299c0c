# ruff: noqa: E501 - a table reads best with one line for each case
"""Parameters of the runbooks that are wrong, as Prefect's form or its API would send them: refused, and named."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.utilities.callables import get_call_parameters

from flows.apply_conditional_access import apply_conditional_access
from flows.create_group import create_group
from flows.end_access import end_access
from flows.grant_access import grant_access
from flows.inventory_fleet import inventory_fleet
from flows.migrate_batch import migrate_batch
from flows.migrate_fleet import migrate_fleet
from flows.plan_part import plan_part
from flows.provision_cluster import provision_cluster
from flows.review_access import review_access
from flows.rollback_cluster import rollback_cluster
from flows.sweep_break_glass import sweep_break_glass
from flows.verify_fleet import verify_fleet
from flows.verify_part import verify_part

FLEET: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "clusters": [{"subscription": "prod-eu"}],
    "target": {"admin_groups": [{"name": "aks-admins"}]},
}
GRANT: dict[str, Any] = {
    "cluster": "shop-weu/shop-01",
    "to": "dana@contoso.com",
    "role": "reader",
    "duration": "2h",
    "reason": "CHG-1",
}
MAKE: dict[str, Any] = {
    "version": 1,
    "kind": "cluster",
    "subscription": "prod-eu",
    "resource_group": "pay-weu",
    "name": "pay-01",
    "location": "westeurope",
    "admin_groups": [{"name": "aks-admins"}],
}
GROUP: dict[str, Any] = {"name": "jit", "owners": ["dana@contoso.com"]}
POLICY: dict[str, Any] = {"name": "aks", "groups": ["aks-admins"], "require": ["mfa"]}
Row = tuple[Flow[..., Any], dict[str, Any], str]
WRONG: dict[str, Row] = {
    "a fleet that is text": (migrate_fleet, {"fleet": "prod"}, "fleet"),
    "a fleet that is a list": (migrate_fleet, {"fleet": [FLEET]}, "fleet"),
    "a fleet of another version": (migrate_fleet, {"fleet": {**FLEET, "version": 2}}, "version"),
    "a fleet without clusters": (migrate_fleet, {"fleet": {**FLEET, "clusters": []}}, "clusters"),
    "a fleet without a target": (migrate_fleet, {"fleet": {key: FLEET[key] for key in ("version", "name", "clusters")}}, "target"),
    "a fleet with an unknown key": (migrate_fleet, {"fleet": {**FLEET, "cluster": []}}, "cluster"),
    "a fleet with a secret": (migrate_fleet, {"fleet": {**FLEET, "prover": {"client_secret": "hunter2"}}}, "prover"),
    "a plan that is a number": (migrate_fleet, {"plan": 17}, "plan"),
    "a plan that is a document": (migrate_fleet, {"plan": {"digest": "sha256:0"}}, "plan"),
    "a batch without members": (migrate_batch, {"plan": "sha256:0", "stage": "all"}, "members"),
    "members that are text": (migrate_batch, {"plan": "sha256:0", "stage": "all", "members": "all"}, "members"),
    "members that are numbers": (migrate_batch, {"plan": "sha256:0", "stage": "all", "members": [1]}, "members"),
    "members of a part that are text": (plan_part, {"plan": "sha256:0", "members": "all"}, "members"),
    "a part that is a mapping": (plan_part, {"fleet": FLEET}, "fleet"),
    "a part of nothing": (verify_part, {"members": []}, "plan_of"),
    "a stage that is a number": (migrate_batch, {"plan": "sha256:0", "stage": 1, "members": []}, "stage"),
    "a batch of nothing": (migrate_batch, {}, "plan"),
    "an unknown parameter": (migrate_fleet, {"fleets": [FLEET]}, "fleets"),
    "a role that is none": (grant_access, {**GRANT, "role": "god"}, "role"),
    "no reason": (grant_access, {**GRANT, "reason": ""}, "reason"),
    "a blank reason": (grant_access, {**GRANT, "reason": "  "}, "reason"),
    "a long reason": (grant_access, {**GRANT, "reason": "x" * 501}, "reason"),
    "nobody": (grant_access, {**GRANT, "to": ""}, "to"),
    "no cluster": (grant_access, {**GRANT, "cluster": ""}, "cluster"),
    "a way that is none": (grant_access, {**GRANT, "via": "magic"}, "via"),
    "a duration that is a number": (grant_access, {**GRANT, "duration": 2}, "duration"),
    "no nodes": (provision_cluster, {"cluster": {**MAKE, "node_pools": [{"name": "a", "count": -1}]}}, "count"),
    "too many nodes": (provision_cluster, {"cluster": {**MAKE, "node_pools": [{"name": "a", "count": 1001}]}}, "count"),
    "nodes as text": (provision_cluster, {"cluster": {**MAKE, "node_pools": [{"name": "a", "count": "many"}]}}, "count"),
    "a tier that is none": (provision_cluster, {"cluster": {**MAKE, "tier": "Gold"}}, "tier"),
    "a group with id and name": (provision_cluster, {"cluster": {**MAKE, "admin_groups": [{"id": "17", "name": "a"}]}}, "admin_groups"),
    "groups that are names": (provision_cluster, {"cluster": {**MAKE, "admin_groups": ["aks-admins"]}}, "admin_groups"),
    "tags that are a list": (provision_cluster, {"cluster": {**MAKE, "tags": ["env"]}}, "tags"),
    "a cluster that is text": (provision_cluster, {"cluster": "cluster.yaml"}, "cluster"),
    "a cluster without Azure RBAC": (provision_cluster, {"cluster": {**MAKE, "azure_rbac": False}}, "azure_rbac"),
    "a group without a name": (create_group, {**GROUP, "name": " "}, "name"),
    "a group without owners": (create_group, {**GROUP, "owners": []}, "owners"),
    "hours beyond a day": (create_group, {**GROUP, "max_hours": 25}, "max_hours"),
    "a policy for nobody": (apply_conditional_access, {"policy": {**POLICY, "groups": []}}, "groups"),
    "a policy that asks for nothing": (apply_conditional_access, {"policy": {**POLICY, "require": []}}, "require"),
    "a policy that asks for magic": (apply_conditional_access, {"policy": {**POLICY, "require": ["magic"]}}, "require"),
    "a policy with an unknown key": (apply_conditional_access, {"policy": {**POLICY, "enforce": True}}, "enforce"),
    "enforcing perhaps": (apply_conditional_access, {"policy": POLICY, "enforce": "perhaps"}, "enforce"),
    "subscriptions that are text": (inventory_fleet, {"subscriptions": "prod-eu"}, "subscriptions"),
    "probing perhaps": (inventory_fleet, {"subscriptions": ["prod-eu"], "probe": "perhaps"}, "probe"),
    "a review of text": (review_access, {"subscriptions": "prod-eu"}, "subscriptions"),
    "a sweep of text": (end_access, {"subscriptions": "prod-eu"}, "subscriptions"),
    "a prover without its tenant": (sweep_break_glass, {"prover": {"client_id": "17"}}, "prover"),
    "a rollback of nothing": (rollback_cluster, {}, "plan"),
    "clusters that are text": (rollback_cluster, {"plan": "sha256:0", "clusters": "all"}, "clusters"),
    "a verification of a list": (verify_fleet, {"plan": ["sha256:0"]}, "plan"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_the_parameter_is_named_before_the_run_begins(case: str) -> None:
    flow, parameters, named = WRONG[case]
    with pytest.raises((ParameterTypeError, SignatureMismatchError, TypeError)) as refused:
        flow.validate_parameters(get_call_parameters(flow.fn, (), parameters))
    assert named in str(refused.value)
    assert "hunter2" not in str(refused.value)
