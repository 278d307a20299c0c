"""A plan that is made in one network: which API servers it reads, and what it says about the others."""

from __future__ import annotations

import jwt
import pytest

from aks_entra.adapters.identity.credentials import caller_in
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.planning.planner import plan_fleet
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, Opener

MORE = """\
      - name: net-weu
        virtualNetworks:
          - {name: north, addressPrefixes: [10.1.0.0/16], subnets: [{name: nodes, addressPrefix: 10.1.0.0/24}]}
          - {name: south, addressPrefixes: [10.2.0.0/16], subnets: [{name: nodes, addressPrefix: 10.2.0.0/24}]}
        clusters:
          - {name: near, private: true, subnet: north/nodes, identity: managed, adminGroups: [aks-admins]}
          - {name: far, private: true, subnet: south/nodes, identity: managed, adminGroups: [aks-admins]}
          - {name: ranged, authorizedIpRanges: [198.51.100.0/24], identity: managed, adminGroups: [aks-admins]}
networks:
  - {name: north, virtualNetworks: [net-weu/north], address: 192.0.2.8}
"""
NETWORK = Fleet(
    name="networks",
    selectors=(Selector(subscription=SUBSCRIPTION, resource_group="net-weu"),),
    target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
)


@pytest.mark.parametrize("box", [{"more": MORE}], indirect=True)
async def test_a_plan_reads_its_own_network_and_says_why_it_does_not_reach_the_others(
    opened: Opener, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in box.environment_in("north").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AKS_ENTRA_EGRESS_ADDRESS", "192.0.2.8")
    async with opened() as session:
        plan = await plan_fleet(session.ports, NETWORK, ())
    found = {
        one.cluster.name: {finding.rule for finding in one.findings} & {"B013", "W160", "U160", "W122"}
        for one in plan.clusters
    }
    assert found["far"] == {"B013"}
    assert found["ranged"] == {"B013", "W160"}
    assert found["near"].isdisjoint({"B013", "W160"})
    (near,) = [one for one in plan.clusters if one.cluster.name == "near"]
    assert near.disposition == "migrate"
    (far,) = [one for one in plan.clusters if one.cluster.name == "far"]
    (unread,) = [finding.message for finding in far.findings if finding.rule == "U140"]
    assert "the proxy cannot reach far" in unread


def test_a_persons_token_says_from_which_address_they_signed_in() -> None:
    claims = {"oid": "dana", "tid": "contoso", "ipaddr": "198.51.100.9"}
    assert caller_in(jwt.encode(claims, "a key that nobody checks the token with")).address == "198.51.100.9"
    assert caller_in(jwt.encode({"oid": "dana"}, "a key that nobody checks the token with")).address == ""
