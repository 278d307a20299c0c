"""The commands that a person gets who has to assign the deny policy, or to exempt a cluster from one."""

from __future__ import annotations

from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import (
    assignment_id,
    definition_id,
    exemption_id,
    how_to_assign,
    how_to_exempt,
    how_to_exempt_from_others,
    how_to_find_exemptions,
)

SHOP = ClusterId(subscription_id="s", resource_group="g", name="shop")


def test_the_commands_make_what_the_program_makes() -> None:
    at, provider = SHOP.resource_id, "providers/Microsoft.Authorization"
    assert assignment_id(SHOP) == f"{at}/{provider}/policyAssignments/aks-entra-keep"
    assert definition_id() == f"/{provider}/policyDefinitions/993c2fcd-2b29-49d2-9eb0-df2c3a730c32"
    assert exemption_id(SHOP) == f"{at}/{provider}/policyExemptions/aks-entra-break-glass"
    assert how_to_assign(SHOP) == (
        f"az policy assignment create --name aks-entra-keep --scope {at} "
        "--policy 993c2fcd-2b29-49d2-9eb0-df2c3a730c32 "
        """--params '{"effect": {"value": "Deny"}}' --metadata managedBy=aks-entra"""
    )
    until = "2026-11-28T12:00:00Z"
    assert how_to_exempt(SHOP, until) == (
        f"az policy exemption create --name aks-entra-break-glass --scope {at} "
        f"--policy-assignment {assignment_id(SHOP)} --exemption-category Waiver --expires-on {until} "
        "--metadata managedBy=aks-entra"
    )


def test_an_exemption_from_a_policy_of_others_does_not_take_the_place_of_ours() -> None:
    at, until = SHOP.resource_id, "2026-11-28T12:00:00Z"
    command = (
        f"az policy exemption create --name aks-entra-break-glass-others --scope {at} --policy-assignment /x "
        "--exemption-category Waiver"
    )
    assert how_to_exempt_from_others(SHOP, "/x") == command
    assert how_to_exempt_from_others(SHOP, "/x", until) == f"{command} --expires-on {until}"
    assert f"az policy exemption list --disable-scope-strict-match --scope {at}" in how_to_find_exemptions(SHOP)
