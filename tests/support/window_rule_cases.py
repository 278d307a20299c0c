"""Cases of the rules about what Azure, or a cluster, would only show in the window."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import LinkedRight
from aks_entra.core.preflight import NodeDisruption, PersonSignIn, ScaleSetAddition
from aks_entra.core.target import RotationPolicy
from tests.support.cases import DENIES, OWN_POLICY, facts, managed, target

SUBNET = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
JOIN = LinkedRight(action="Microsoft.Network/virtualNetworks/subnets/join/action", scope=SUBNET)
LATER = target(rotation=RotationPolicy.LATER)

READ_BEFORE_THE_WINDOW = [
    (
        "B011",
        f"lacks {JOIN.action} on {SUBNET}, which Azure asks for",
        managed(linked=(JOIN,)),
        LATER,
        facts(linked_missing=(JOIN,)),
    ),
    ("U111", f"could not be read whether the runner has {JOIN.action}", managed(linked=(JOIN,)), target(), facts()),
    (
        "B041",
        "policy assignment Ours on /subscriptions/s denies what the plan writes: disable local accounts; turn local",
        managed(),
        target(),
        facts(policy_evaluations=(replace(OWN_POLICY, write="disable local accounts"), OWN_POLICY)),
    ),
    (
        "B041",
        "denies what the plan writes",
        managed(),
        target(),
        facts(policy_evaluations=(replace(OWN_POLICY, definition=DENIES.definition),)),
    ),
    (
        "W141",
        "non-compliant once this is written: disable local accounts",
        managed(),
        target(),
        facts(policy_evaluations=(replace(OWN_POLICY, write="disable local accounts", effect="audit"),)),
    ),
    ("U141", "whether policy", managed(), target(), facts(policy_evaluations=(replace(OWN_POLICY, effect=None),))),
    ("U141", "whether a policy denies", managed(), LATER, facts(policy_evaluations=None)),
    (
        "W142",
        "AKS did not put there: identity pods on aks-a-1-vmss",
        managed(),
        target(),
        facts(scale_set_additions=(ScaleSetAddition(scale_set="aks-a-1-vmss", what="identity pods"),)),
    ),
    (
        "W143",
        "policy is Block: Azure may refuse the rotation",
        managed(),
        target(),
        facts(node_disruption=NodeDisruption(policy="Block")),
    ),
    (
        "W143",
        "Azure may refuse the rotation outside of aksManagedNodeOSUpgradeSchedule",
        managed(),
        target(),
        facts(node_disruption=NodeDisruption(policy="AllowDuringMaintenanceWindow")),
    ),
    (
        "W143",
        "an upgrade health gate is on for the cluster, pool a",
        managed(),
        target(),
        facts(node_disruption=NodeDisruption(gated=("the cluster", "pool a"))),
    ),
    ("U143", "upgrade gates could not be read", managed(), target(), facts(node_disruption=None)),
    ("U142", "the scale sets could not be read", managed(), target(), facts(scale_set_additions=None)),
    ("W140", "read with the cluster's admin credential", managed(), target(), facts(admin_credential_read=True)),
    (
        "I103",
        "dana@contoso.com, a member of an admin group, signed in to AKS on 2026-11-20",
        managed(),
        target(),
        facts(person_sign_in=PersonSignIn(name="dana@contoso.com", at="2026-11-20T08:00:00Z")),
    ),
]
