# ruff: noqa: E501 - a table reads best with one line for each case
"""The cluster file: what is refused with its line and a remedy, and the documents that it becomes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from azure.mgmt.containerservice.models import ManagedCluster
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from aks_entra.errors import Refused
from aks_entra.fleet_file.cluster_body import new_cluster_of
from aks_entra.fleet_file.cluster_file import (
    ClusterFile,
    field_of,
    json_schema,
    json_schema_text,
    load_cluster_file,
    parse_cluster_file,
)
from aks_entra.fleet_file.model import parse_fleet_file
from tests.support.examples import times
from tests.support.golden_files import approved
from tests.support.new_clusters import ADMINS, IDENTITY, KUBELET, NODES, SUBSCRIPTION, TENANT, WORKSPACE, ZONE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "how-to" / "create-a-cluster.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SMALL = """\
version: 1
kind: cluster
subscription: prod-eu
resource_group: pay-weu
name: pay-01
location: westeurope
admin_groups: [{name: aks-admins}]
"""
IDENTITIES = f"identity: {{control_plane: {IDENTITY}, kubelet: {KUBELET}}}\n"
WRONG: dict[str, tuple[str, str, str]] = {
    "an unknown key": ("azure_rbac: off", "azure_rbac: unknown key", "remove it"),
    "local accounts": ("local_accounts: on", "local_accounts: unknown key", "remove it"),
    "a version as a number": ("kubernetes_version: 1.34", "must be text, not `1.34`", "in quotes"),
    "a version that is none": ('kubernetes_version: "newest"', "`newest` is not a version of Kubernetes", '"1.34"'),
    "a tier": ("tier: Gold", "the text `Gold` is not a valid value", "Free, Standard or Premium"),
    "a policy": ("network: {network_policy: ciliun}", "`ciliun` is not a valid value", "did you mean `network_policy: cilium`"),
    "long-term support": ("support_plan: AKSLongTermSupport", "needs the tier Premium", "`tier: Premium`"),
    "a reserved tag": ("tags: {azure-x: y}", "`azure-x` begins with a reserved word", "use another name"),
    "a tag of break-glass": ("tags: {aks-entra-break-glass-until: y}", "begins with a reserved word", "records break-glass"),
    "a character in a tag": ("tags: {a/b: y}", "`a/b` contains a character that Azure refuses", "leave out"),
    "a node group": ("node_resource_group: a b", "is not a valid name of a resource group", "no dot last"),
    "a subnet": ("subnet_id: nodes", "`nodes` is not the id of one of subnets", "write /subscriptions/<id>/"),
    "an identity": ("identity: {control_plane: aks}", "is not the id of one of userAssignedIdentities", "userAssignedIdentities/<name>"),
    "a zone": ("api_server: {private: true, private_dns_zone: mine}", "is not the id of one of privateDnsZones", "privateDnsZones/<name>"),
    "a zone without an identity": (f"api_server: {{private: true, private_dns_zone: {ZONE}}}", "needs a user-assigned identity", "control_plane"),
    "a zone of a public server": ("api_server: {private_dns_zone: system}", "is only for a private API server", "`private: true`"),
    "a private server with ranges": ("api_server: {private: true, authorized_ip_ranges: [203.0.113.0/24]}", "has no authorised ranges", "remove it"),
    "a range with host bits": ("api_server: {authorized_ip_ranges: [203.0.113.1/24]}", "is not an IPv4 address or range", "203.0.113.7"),
    "a range for everybody": ("api_server: {authorized_ip_ranges: [0.0.0.0/0]}", "lets everybody in", "name the addresses"),
    "a subnet of the server without an identity": (f"api_server: {{subnet_id: {NODES}}}", "needs a user-assigned identity", "identity"),
    "services over pods": ("network: {service_cidr: 10.244.0.0/16}", "overlaps with the range of pods", "choose another"),
    "a range of services": ("network: {service_cidr: ten}", "`ten` is not an address range", "10.2.0.0/16"),
    "DNS elsewhere": ("network: {dns_service_ip: 10.9.0.10}", "10.9.0.10 is not in the range of services", "`service_cidr`"),
    "DNS that is none": ("network: {dns_service_ip: dns}", "`dns` is not an address", "10.2.0.10"),
    "pods in a flat network": ("network: {cni: flat, pod_cidr: 10.8.0.0/16}", "is only for an overlay", "`cni: overlay`"),
    "policies of cilium": ("network: {network_policy: cilium}", "cilium policies need its data plane", "network_dataplane"),
    "no OIDC": ("oidc_issuer: false", "workload identity needs it", "`workload_identity: false`"),
    "an automatic cluster": ("sku: Automatic\ntier: Free", "AKS Automatic does not allow this value", "remove it"),
    "a pool's name": ("node_pools: [{name: Nodes}]", "`Nodes` is not a valid name of a pool", "lower-case"),
    "a pool twice": ("node_pools: [{name: a, mode: System}, {name: a}]", "this pool is listed twice", "rename"),
    "no system pool": ("node_pools: [{name: a}, {name: b}]", "no pool has the mode System", "`mode: System`"),
    "an empty system pool": ("node_pools: [{name: a, count: 0}]", "a system pool needs a node", "1 or more"),
    "a taint of a system pool": ('node_pools: [{name: a, taints: ["a=b:NoSchedule"]}]', "is not allowed on a system pool", "CriticalAddonsOnly"),
    "a taint": ("node_pools: [{name: a, taints: [soon]}]", "`soon` is not a taint", "NoSchedule"),
    "half of a scale": ("node_pools: [{name: a, min_count: 2}]", "`max_count` is missing", "remove `min_count`"),
    "the other half": ("node_pools: [{name: a, max_count: 2}]", "`min_count` is missing", "remove `max_count`"),
    "bounds": ("node_pools: [{name: a, min_count: 5, max_count: 2}]", "is larger than `max_count`", "write less"),
    "a count outside": ("node_pools: [{name: a, count: 9, min_count: 1, max_count: 2}]", "is not between", "remove it"),
    "too many nodes": ("node_pools: [{name: a, count: 1001}]", "1001 is too large", "1000 or less"),
    "a VM size": ("node_pools: [{name: a, vm_size: big}]", "`big` is not a VM size", "Standard_D4ds_v5"),
    "a zone of a pool": ("node_pools: [{name: a, zones: [4]}]", "4 is too large", "3 or less"),
    "a surge": ("node_pools: [{name: a, max_surge: most}]", "`most` is not a number of nodes or a percentage", '"33%"'),
    "a subnet of pods in an overlay": (f"subnet_id: {NODES}\nnode_pools: [{{name: a, pod_subnet_id: {NODES}}}]", "is only for a flat network", "cni: flat"),
    "a subnet of pods alone": (f"network: {{cni: flat}}\nnode_pools: [{{name: a, pod_subnet_id: {NODES}}}]", "needs a subnet of nodes too", "vnet_subnet_id"),
    "a window's name": ('maintenance_windows: [{name: default, start_time: "02:00"}]', "is not a valid value", "aksManagedAutoUpgradeSchedule"),
    "a weekly window without a day": ('maintenance_windows: [{name: aksManagedAutoUpgradeSchedule, start_time: "02:00"}]', "a weekly window needs `day`", "add `day"),
    "a daily window with a day": ('maintenance_windows: [{name: aksManagedAutoUpgradeSchedule, schedule: daily, day: sat, start_time: "02:00"}]', "is only for a weekly window", "remove it"),
    "a window too seldom": ('maintenance_windows: [{name: aksManagedAutoUpgradeSchedule, day: sat, every: 5, start_time: "02:00"}]', "5 is too large for a weekly window", "4 or less"),
    "an offset": ('maintenance_windows: [{name: aksManagedAutoUpgradeSchedule, day: sat, start_time: "02:00", utc_offset: CET}]', "`CET` is not an offset", '"+01:00"'),
    "a category": (f"diagnostic_settings: [{{workspace_id: {WORKSPACE}, categories: [kube-audti]}}]", "`kube-audti` is not a valid value", "did you mean `categories: kube-audit`"),
    "a category twice": (f"diagnostic_settings: [{{workspace_id: {WORKSPACE}, categories: [guard, guard]}}]", "this category is listed twice", "remove one"),
    "a setting twice": (f"diagnostic_settings: [{{workspace_id: {WORKSPACE}}}, {{workspace_id: {WORKSPACE}}}]", "this setting is listed twice", "rename"),
    "a document beside it": ("document: {}\ntier: Free", "the document already describes it", "remove it"),
    "no value": ("subnet_id:", "subnet_id: has no value", "remove the key"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_key_is_one_error_with_its_line_and_a_remedy(case: tuple[str, str, str]) -> None:
    text, message, remedy = case
    with pytest.raises(Refused) as refused:
        parse_cluster_file(f"{SMALL}{text}\n", "cluster.yaml")
    said = str(refused.value)
    assert re.match(r"cluster\.yaml:([789]|1\d): ", said), said
    assert message in said
    assert remedy in said
    assert "\n  cluster.yaml" not in said, "one error"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("- a", "a cluster file consists of `key: value`"),
        (SMALL.replace("kind: cluster\n", ""), "cluster.yaml:1: kind: this is no cluster file: it says no kind"),
        (
            SMALL.replace("kind: cluster", "kind: fleet"),
            "cluster.yaml:2: kind: this is no cluster file: it says `fleet`",
        ),
        (SMALL.replace("version: 1", "version: 2"), "this program reads only version 1"),
        (SMALL.replace("westeurope", "west/europe"), "is not a region"),
        (SMALL.replace("pay-01", "-pay"), "is not a valid name of a cluster"),
        (SMALL.replace("[{name: aks-admins}]", "[]"), "admin_groups: is empty"),
        (SMALL.replace("}]", "}, {name: aks-admins}]"), "this group is listed twice"),
    ],
)
def test_what_every_cluster_needs(text: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_cluster_file(text, "cluster.yaml")
    assert said in str(refused.value)
    assert "→" in str(refused.value)


def test_a_cluster_file_is_no_fleet_file() -> None:
    with pytest.raises(Refused, match="this is no fleet file: it says `cluster`"):
        parse_fleet_file(SMALL, "cluster.yaml")


def test_a_file_that_is_missing_names_the_page(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no such file") as refused:
        load_cluster_file(tmp_path / "none.yaml")
    assert refused.value.remedy.endswith("docs/how-to/create-a-cluster.md shows a complete example")


BODIES: dict[str, str] = {
    "the smallest": SMALL,
    "every part": EXAMPLES[1],
    "private with a zone": f"{SMALL}{IDENTITIES}api_server: {{private: true, private_dns_zone: {ZONE}, subnet_id: {NODES}}}\n",
    "private": f"{SMALL}api_server: {{private: true, public_fqdn: true, disable_run_command: false}}\n",
    "flat with pods apart": f"{SMALL}network: {{cni: flat}}\nsubnet_id: {NODES}\nnode_pools: [{{name: a, pod_subnet_id: {NODES}, zones: []}}]\n",
    "cilium": f"{SMALL}network: {{network_dataplane: cilium, service_cidr: 10.2.0.0/16}}\n",
    "automatic": f"{SMALL}sku: Automatic\n",
    "automatic, private": f"{SMALL}sku: Automatic\napi_server: {{private: true}}\nnetwork: {{outbound_type: userDefinedRouting}}\n",
    "nothing by itself": f"{SMALL}upgrades: {{channel: none, node_os_channel: None}}\noidc_issuer: false\nworkload_identity: false\n",
    "windows": f"""{SMALL}maintenance_windows:
  - {{name: aksManagedAutoUpgradeSchedule, schedule: monthly, day_of_month: 3, start_time: "02:00", utc_offset: "+01:00"}}
  - {{name: aksManagedNodeOSUpgradeSchedule, schedule: daily, every: 2, start_time: "23:00", duration_hours: 6}}
""",
    "scaling": f"{SMALL}node_pools: [{{name: a, min_count: 5, max_count: 9, ssh_access: EntraId}}]\n",
}  # fmt: skip


def _new(text: str) -> Any:
    return new_cluster_of(parse_cluster_file(text, "cluster.yaml"), SUBSCRIPTION, TENANT, (ADMINS,))


def test_the_documents_in_golden_words() -> None:
    blocks = []
    for name, text in BODIES.items():
        new = _new(text)
        blocks.append((name, json.dumps(new.document(), indent=2, sort_keys=True)))
        blocks += [(f"{name}: {one}", json.dumps(one.properties, indent=2, sort_keys=True)) for one in new.children]
    approved("new-cluster-documents", blocks)


@pytest.mark.parametrize("text", BODIES.values(), ids=BODIES)
def test_azure_s_own_models_know_every_property(text: str) -> None:
    document = _new(text).document()
    assert list(_unknown(ManagedCluster(document), document)) == []
    assert ManagedCluster(document).as_dict() == document


def _unknown(model: Any, document: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the properties of a document that Azure's model does not have, at any depth."""
    attributes = {field._rest_name: name for name, field in model._attr_to_rest_field.items()}  # noqa: SLF001
    for key, value in document.items():
        where = f"{path}.{key}"
        if key not in attributes:
            yield where
            continue
        inner = getattr(model, attributes[key])
        pairs = zip(inner, value, strict=True) if isinstance(value, list) else [(inner, value)]
        for one, said in pairs:
            if isinstance(said, dict) and hasattr(one, "_attr_to_rest_field"):
                yield from _unknown(one, said, where)


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ("agentPoolProfiles[1].vnetSubnetID", "node_pools[1].vnet_subnet_id"),
        ("properties.networkProfile.serviceCidr", "network.service_cidr"),
        ("identity.userAssignedIdentities", "identity.control_plane"),
        ("identityProfile.kubeletidentity", "identity.kubelet"),
        ("aadProfile.tenantID", "tenant_id"),
        ("providers/Microsoft.Insights/diagnosticSettings", "diagnostic_settings"),
        ("location", "location"),
    ],
)
def test_a_path_of_the_body_is_found_in_the_file(place: str, field: str) -> None:
    assert field_of(place) == field


def test_a_document_replaces_what_the_keys_would_say() -> None:
    body = {"location": "westeurope", "properties": {"a": 1}}
    file = ClusterFile.model_validate({**YAML(typ="safe", pure=True).load(SMALL), "document": body})
    assert new_cluster_of(file, SUBSCRIPTION, TENANT, ()).body == body


def test_the_schema_is_current_and_accepts_the_examples() -> None:
    written = (DOCS / "reference" / "cluster-file.schema.json").read_text(encoding="utf-8")
    assert written == json_schema_text(), "run: make docs"
    schema = jsonschema.Draft202012Validator(json_schema())
    schema.check_schema(json.loads(written))
    assert len(EXAMPLES) == 2
    for example in (*EXAMPLES, SMALL):
        assert parse_cluster_file(example, "example").admin_groups
        schema.validate(YAML(typ="safe", pure=True).load(example))
    assert not schema.is_valid(YAML(typ="safe", pure=True).load(SMALL.replace("kind: cluster", "kind: fleet")))


def test_the_page_names_every_key() -> None:
    parts = json_schema()["$defs"]
    keys = {key for name, part in parts.items() if name != "AdminGroupFile" for key in part.get("properties", {})}
    known = {"document"}  # the command line fills it
    assert [key for key in sorted((keys | set(json_schema()["properties"])) - known) if f"`{key}`" not in PAGE] == []


KEYS = sorted({key for part in json_schema()["$defs"].values() for key in part.get("properties", {})})
WORDS = st.sampled_from([*KEYS, "system", "overlay", "10.0.0.0/8", "02:00", NODES, IDENTITY])
LEAVES = st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=8)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)
GOOD = YAML(typ="safe", pure=True).load(SMALL)


@given(st.dictionaries(st.sampled_from(sorted(json_schema()["properties"])), TREES, max_size=4))
@times(1.5)
def test_any_tree_is_a_cluster_or_an_error_with_a_line(tree: dict[str, Any]) -> None:
    said = ""
    try:
        parse_cluster_file(json.dumps({**GOOD, **tree}), "cluster.yaml")
    except Refused as error:
        said = str(error)
    assert not said or (said.startswith("cluster.yaml:") and "→" in said)
