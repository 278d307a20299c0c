"""The commands that a person gets who has to assign the deny policy, or to exempt a cluster from one."""

from __future__ import annotations

from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import assignment_id, definition_id, exemption_id, how_to_assign, how_to_exempt

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
    assert how_to_exempt(SHOP, "/x") == (
        f"az policy exemption create --name aks-entra-break-glass --scope {at} --policy-assignment /x "
        "--exemption-category Waiver --metadata managedBy=aks-entra"
    )
