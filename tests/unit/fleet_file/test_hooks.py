# ruff: noqa: E501 - a table reads best with one line for each case
"""The hooks of a fleet file: one clear error for each wrong field, before anything is planned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.hooks.model import EmitEvent, RunDeployment, UpdateArgoCdSecret, UpdateFluxSecret
from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile, parse_fleet_file

SMALL = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"
HUB = "/subscriptions/3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163/resourceGroups/hub/providers/Microsoft.ContainerService/managedClusters/hub-01"
GOOD = f"""\
{SMALL}after:
  - update_argocd_secret: {{cluster: hub-weu/hub-01}}
  - update_argocd_secret: {{cluster: {HUB}, namespace: argo-cd, name: "cluster-{{name}}"}}
  - run_deployment:
      deployment: tell-cmdb/prod
      parameters: {{cluster: "{{cluster}}", ca: "{{certificate_authority_data}}", dry: false, times: 3}}
      timeout: 10m
  - run_deployment: {{deployment: a/b, wait: false}}
  - update_flux_secret: {{cluster: hub-weu/hub-01, name: "{{name}}-kubeconfig"}}
  - update_flux_secret: {{cluster: {HUB}, namespace: apps, name: shop, key: kubeconfig}}
  - emit: {{event: contoso.ca-rotated, payload: {{who: "{{resource_group}}/{{name}}"}}}}
"""
WRONG = {
    "no key": ("{}", "after[1]: this hook has no key", "write one of update_argocd_secret, update_flux_secret, run_deployment or emit"),
    "two keys": ("{emit: {event: a}, run_deployment: {deployment: a/b}}", "this hook has the keys run_deployment and emit", "an entry of its own"),
    "an unknown kind": ("{run_script: rm}", "after[1].run_script: unknown key", "use one of update_argocd_secret, update_flux_secret, run_deployment or emit"),
    "a hub without its group": ("update_argocd_secret: {cluster: hub-01}", "after[1].update_argocd_secret.cluster: `hub-01` does not name a cluster", "`resource-group/name`, or the ARM id"),
    "a template as the hub": ('update_argocd_secret: {cluster: "{name}-hub/hub"}', "`{name}-hub/hub` does not name a cluster", "ARM id of the hub"),
    "a hub with a space": ("update_argocd_secret: {cluster: hub weu/hub}", "`hub weu/hub` does not name a cluster", "ARM id of the hub"),
    "a hub whose name no cluster has": ("update_argocd_secret: {cluster: hub-weu/hüb}", "`hub-weu/hüb` does not name a cluster", "ARM id of the hub"),
    "an ARM id as a secret's name": ('update_argocd_secret: {cluster: a/b, name: "{cluster}"}', "{cluster} is not a field of templates", "write one of {name}, "),
    "the id of something else": ("update_argocd_secret: {cluster: /subscriptions/x}", "does not name a cluster", "ARM id of the hub"),
    "no hub": ("update_argocd_secret: {}", "after[1].update_argocd_secret.cluster", "cluster"),
    "a namespace": ("update_argocd_secret: {cluster: a/b, namespace: Argo CD}", "`Argo CD` is not a namespace", "such as argocd"),
    "a secret's name": ("update_argocd_secret: {cluster: a/b, name: Not A Name}", "`Not A Name` is not the name of a secret", "cluster-{name}"),
    "a secret named by its ca": ('update_argocd_secret: {cluster: a/b, name: "{ca_fingerprint}"}', "{ca_fingerprint} is not a field of templates", "{name}, {resource_group}, {subscription}"),
    "a kubeconfig without its secret": ("update_flux_secret: {cluster: a/b}", "after[1].update_flux_secret.name", "name"),
    "a key of a secret": ("update_flux_secret: {cluster: a/b, name: x, key: a/b}", "`a/b` is not a key of a secret", "such as value.yaml"),
    "a deployment without its flow": ("run_deployment: {deployment: prod}", "`prod` is not the name of a deployment", "flow/deployment"),
    "an unknown field": ('run_deployment: {deployment: a/b, parameters: {x: "{fqdn}"}}', "after[1].run_deployment.parameters.x: {fqdn} is not a field of templates", "write one of {cluster}"),
    "an open brace": ('run_deployment: {deployment: a/b, parameters: {x: "{name"}}', "is not a template", "`{{` for a brace itself"),
    "a list as a parameter": ("run_deployment: {deployment: a/b, parameters: {x: [1]}}", "after[1].run_deployment.parameters.x: is neither a text", "own defaults"),
    "too long": ("run_deployment: {deployment: a/b, timeout: 3h}", "`3h` is longer than 2h", "`wait: false`"),
    "no time": ("run_deployment: {deployment: a/b, timeout: soon}", "`soon` is not a duration", "write 45m"),
    "an event of ours": ("emit: {event: aks-entra.fleet.requested}", "is the name of an event of Prefect or of this program", "a name of your own"),
    "an event of Prefect": ("emit: {event: Prefect.flow-run.Completed}", "is the name of an event of Prefect or of this program", "a name of your own"),
    "an event with spaces": ("emit: {event: it is done}", "`it is done` is not the name of an event", "letters, digits"),
    "twice": ("emit: {event: contoso.first}", "after[1]: this hook is listed twice", "remove one of the two"),
}  # fmt: skip


def test_hooks_become_core_values_in_their_order() -> None:
    fleet = parse_fleet_file(GOOD, "fleet.yaml")
    argo, named, run, start, flux, keyed, tell = fleet.to_fleet().after
    assert argo == UpdateArgoCdSecret(cluster="hub-weu/hub-01")
    assert named == UpdateArgoCdSecret(cluster=HUB, namespace="argo-cd", name="cluster-{name}")
    assert run == RunDeployment(
        deployment="tell-cmdb/prod",
        parameters=(("ca", "{certificate_authority_data}"), ("cluster", "{cluster}"), ("dry", False), ("times", 3)),
        timeout=600,
    )
    assert start == RunDeployment(deployment="a/b", wait=False)
    assert flux == UpdateFluxSecret(cluster="hub-weu/hub-01", name="{name}-kubeconfig")
    assert keyed == UpdateFluxSecret(cluster=HUB, namespace="apps", name="shop", key="kubeconfig")
    assert tell == EmitEvent(event="contoso.ca-rotated", payload=(("who", "{resource_group}/{name}"),))
    assert FleetFile.model_validate(fleet.to_parameter()) == fleet
    assert replace(parse_fleet_file(SMALL, "f").to_fleet(), after=fleet.to_fleet().after) == fleet.to_fleet()


STAGES = """\
rollout:
  stages:
    - name: canary
      groups: [{name: first, clusters: [shop-01]}]
      after: [{emit: {event: contoso.canary}}]
    - name: rest
      groups: [{name: all, rest: true}]
"""


def test_a_stage_has_hooks_of_its_own() -> None:
    fleet = parse_fleet_file(f"{SMALL}after: [{{emit: {{event: contoso.all}}}}]\n{STAGES}", "fleet.yaml")
    found = fleet.to_fleet()
    assert found.after == (EmitEvent(event="contoso.all"),)
    assert [one.after for one in found.stages] == [(EmitEvent(event="contoso.canary"),), ()]
    assert FleetFile.model_validate(fleet.to_parameter()) == fleet


@pytest.mark.parametrize("listed", ["", "after: [{emit: {event: contoso.canary}}]\n"])
def test_a_hook_of_a_stage_and_of_the_fleet_is_listed_twice(listed: str) -> None:
    twice = (
        STAGES if listed else STAGES.replace("contoso.canary}}", "contoso.canary}}, {emit: {event: contoso.canary}}")
    )
    with pytest.raises(Refused, match=r"rollout.stages\[0\].after\[\d\]: this hook is listed twice"):
        parse_fleet_file(f"{SMALL}{listed}{twice}", "fleet.yaml")


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_hook_is_one_error_with_its_line_and_a_remedy(case: tuple[str, str, str]) -> None:
    text, message, remedy = case
    with pytest.raises(Refused) as refused:
        parse_fleet_file(f"{SMALL}after:\n  - emit: {{event: contoso.first}}\n  - {text}\n", "fleet.yaml")
    assert str(refused.value).startswith("fleet.yaml:7: ")
    assert message in str(refused.value)
    assert remedy in str(refused.value)
