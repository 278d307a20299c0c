from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.access import Active, Effect, Eligible, Group, PolicyResult, explain
from aks_entra.core.cluster import Identity
from aks_entra.core.grants import Principal
from aks_entra.core.rules import Role
from aks_entra.core.wishes import EVERYTHING, Wish, wish
from tests.unit.access_cases import (
    ADMINS,
    AKS,
    CLUSTER,
    CLUSTER_ADMIN,
    DANA,
    READER,
    ROBOT,
    TEAM,
    USER,
    binding,
    facts,
    held,
    posture,
)

PODS = wish("list", "pods", namespace="shop")
NODES = wish("list", "nodes")
SHOP = f"{CLUSTER.resource_id}/namespaces/shop"
KUBERNETES = posture(azure_rbac=False)
ALL_READ = {"roles": (), "bindings": ()}


def policy(state: str, *controls: str, applies: bool = True) -> dict[str, Any]:
    return {"policies": (PolicyResult(id="1", name="aks", state=state, applies=applies, controls=controls),)}


CASES: dict[str, tuple[dict[str, Any], Wish, bool | None, set[str]]] = {
    "nothing at all": ({}, NODES, False, {"A111", "A135", "A171", "A180"}),
    "nothing, with Kubernetes RBAC": ({"posture": KUBERNETES}, EVERYTHING, False, {"A180"}),
    "nothing for a write": ({}, wish("create", "pods", namespace="shop"), False, {"A180"}),
    "direct member": ({"groups": frozenset({ADMINS}), "direct": frozenset({ADMINS})}, NODES, True, {"A130", "A140"}),
    "nested member": ({"groups": frozenset({ADMINS, TEAM}), "direct": frozenset({TEAM})}, NODES, True, {"A130"}),
    "activated member": (
        {"groups": frozenset({ADMINS}), "active": (Active(group_id=ADMINS, activated=True, until="18:00"),)},
        NODES,
        True,
        {"A130"},
    ),
    "assigned for a time": (
        {"groups": frozenset({ADMINS}), "active": (Active(group_id=ADMINS, activated=False, until="18:00"),)},
        NODES,
        True,
        {"A130"},
    ),
    "eligible, not active": ({"eligible": (Eligible(group_id=ADMINS, until="2027"),)}, NODES, False, {"A134"}),
    "eligible for good": ({"eligible": (Eligible(group_id=ADMINS),)}, NODES, False, {"A134"}),
    "eligibility unreadable": ({"eligible": None, "active": None}, NODES, False, {"A135"}),
    "groups unreadable": ({"groups": None, "roles": None}, NODES, None, {"A103", "A112", "A150"}),
    "no admin group": ({"admin_groups": ()}, NODES, False, {"A132"}),
    "deleted admin group": ({"admin_groups": (Group(id=ADMINS, exists=False),)}, NODES, False, {"A133"}),
    "mail group": ({"admin_groups": (Group(id=ADMINS, security_enabled=False),)}, NODES, False, {"A133"}),
    "no Entra": ({"posture": posture(identity=Identity.NONE)}, NODES, False, {"A100"}),
    "legacy": ({"posture": posture(identity=Identity.LEGACY)}, NODES, False, {"A101"}),
    "other tenant": ({"tenant_id": "other", "groups": frozenset({ADMINS})}, NODES, False, {"A102"}),
    "stopped": ({"posture": posture(power_state="Stopped")}, NODES, False, {"A104"}),
    "private": ({"posture": posture(private=True)}, NODES, False, {"A105"}),
    "ranges": ({"posture": posture(authorized_ip_ranges=("10.0.0.0/8",))}, NODES, False, {"A106"}),
    "a group": ({"person": Principal(id=TEAM, kind="Group", name="team")}, NODES, False, {"A107"}),
    "disabled": (
        {"person": Principal(id="1", kind="User", enabled=False), "groups": frozenset({ADMINS})},
        NODES,
        False,
        {"A108"},
    ),
    "overage of a person": ({"groups": frozenset({ADMINS, *(str(it) for it in range(200))})}, NODES, True, {"A109"}),
    "overage of a robot": (
        {"person": ROBOT, "groups": frozenset({ADMINS, *(str(it) for it in range(200))})},
        NODES,
        False,
        {"A109"},
    ),
    "policies unreadable": ({"policies": None}, NODES, False, {"A120"}),
    "policies unreadable for a robot": ({"policies": None, "person": ROBOT}, NODES, False, set()),
    "policy elsewhere": (policy("enabled", "mfa", applies=False), NODES, False, set()),
    "policy reports": (policy("enabledForReportingButNotEnforced", "mfa"), NODES, False, {"A121"}),
    "policy blocks": ({**policy("enabled", "block"), "groups": frozenset({ADMINS})}, NODES, False, {"A122"}),
    "policy wants a device": (policy("enabled", "compliantDevice"), NODES, False, {"A123"}),
    "policy wants a factor": (policy("enabled", "mfa"), NODES, False, {"A124"}),
    "policy asks nothing": (policy("enabled"), NODES, False, {"A124"}),
    "policy is off": (policy("disabled", "mfa"), NODES, False, set()),
    "role here": ({"roles": (held(READER, SHOP), held(USER))}, PODS, True, {"A151", "A110"}),
    "role of a group": (
        {"roles": (held(READER, SHOP, TEAM),), "groups": frozenset({TEAM}), "names": ((TEAM, "team"),)},
        PODS,
        True,
        {"A151"},
    ),
    "role elsewhere": ({"roles": (held(READER, f"{SHOP}-2"),)}, PODS, False, {"A152"}),
    "role above": ({"roles": (held(READER, f"/subscriptions/{CLUSTER.subscription_id}"),)}, PODS, True, {"A151"}),
    "role too small": ({"roles": (held(READER),)}, NODES, False, {"A152"}),
    "role without effect": ({"roles": (held(READER),), "posture": KUBERNETES}, PODS, False, {"A153"}),
    "eligible for a role": (
        {"eligible": (Eligible(group_id=TEAM),), "eligible_roles": (held(READER, SHOP, TEAM), held(USER, SHOP, TEAM))},
        PODS,
        False,
        {"A134"},
    ),
    "roles unreadable": ({"roles": None}, PODS, None, {"A150", "A112"}),
    "roles unreadable, Kubernetes RBAC": ({"roles": None, "posture": KUBERNETES}, PODS, False, {"A112"}),
    "bindings unreadable": ({"bindings": None, "unread": (("bindings", "403"),)}, PODS, None, {"A160"}),
    "bound": ({"bindings": (binding("User", DANA.name),), "posture": KUBERNETES}, PODS, True, {"A161"}),
    "bound beside Azure RBAC": ({"bindings": (binding("User", DANA.name),)}, PODS, True, {"A161", "A162"}),
    "bound by group": (
        {"bindings": (binding("Group", TEAM),), "groups": frozenset({TEAM}), "posture": KUBERNETES},
        PODS,
        True,
        {"A161"},
    ),
    "bound elsewhere": ({"bindings": (binding("User", DANA.name, namespace="pay"),)}, PODS, False, set()),
    "bound to less": ({"bindings": (binding("User", DANA.name),)}, NODES, False, set()),
    "AKS' own binding": (
        {
            "bindings": (binding("Group", ADMINS, verbs=("*",), groups=("*",), resources=("*",)),),
            "groups": frozenset({ADMINS}),
        },
        PODS,
        True,
        {"A130"},
    ),
    "bound by a group's name": (
        {"bindings": (binding("Group", "team"),), "groups": frozenset({TEAM}), "names": ((TEAM, "team"),)},
        PODS,
        False,
        {"A163"},
    ),
    "bound by object id": ({"bindings": (binding("User", DANA.id),)}, PODS, False, {"A163"}),
    "bound in other case": ({"bindings": (binding("User", "Dana@Contoso.com"),)}, PODS, False, {"A163"}),
    "somebody else is bound": ({"bindings": (binding("User", "erin@contoso.com"),)}, PODS, False, set()),
    "local accounts on": ({"posture": posture(local_accounts=True)}, NODES, False, {"A170"}),
    "may fetch the admin credential": (
        {"posture": posture(local_accounts=True), "roles": (held(CLUSTER_ADMIN),)},
        NODES,
        False,
        {"A170"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_answer_and_what_it_rests_on(name: str) -> None:
    change, wanted, allowed, rules = CASES[name]

    explanation = explain(facts(**change), wanted)

    assert explanation.allowed is allowed
    assert rules <= {one.rule for one in explanation.reasons}
    assert explanation.because


def test_what_keeps_somebody_out_comes_with_a_remedy_and_who_can() -> None:
    for change, wanted, _, _ in CASES.values():
        for one in explain(facts(**change), wanted).reasons:
            if one.effect in {Effect.BLOCKS, Effect.UNKNOWN}:
                assert one.remedy, one
                assert one.by, one


def test_the_document_s_own_troubleshooting_is_said_to_whom_it_concerns() -> None:
    eligible = explain(facts(eligible=(Eligible(group_id=ADMINS),)), NODES)
    assert "*Active* assignment" in next(one.remedy for one in eligible.reasons if one.rule == "A134")
    assert "kubelogin remove-tokens" in next(one.remedy for one in eligible.reasons if one.rule == "A134")
    locked_out = explain(facts(posture=posture(local_accounts=True)), NODES)
    assert "--admin" in next(one.remedy for one in locked_out.reasons if one.rule == "A170")


@pytest.mark.parametrize(
    ("change", "kubeconfig"), [({"roles": (held(USER),)}, True), ({}, False), ({"roles": None}, None)]
)
def test_the_kubeconfig_is_a_question_of_its_own(change: dict[str, Any], kubeconfig: bool | None) -> None:
    assert explain(facts(**change)).kubeconfig is kubeconfig


def test_a_token_carries_groups_only_when_they_fit() -> None:
    assert explain(facts(groups=frozenset({TEAM, ADMINS}))).token.groups == (ADMINS, TEAM)
    many = explain(facts(groups=frozenset(str(it) for it in range(201)))).token
    assert (many.groups, many.overage) == (None, True)
    assert explain(facts(groups=None)).token.groups is None


def test_a_group_is_called_by_name_where_it_is_known() -> None:
    assert facts(names=((TEAM, "team"),)).name_of(TEAM.upper()) == f"team ({TEAM.upper()})"
    assert facts().name_of(TEAM) == TEAM
    assert facts().why_unread("groups") == "it could not be read"


def test_a_role_at_the_root_is_shown_as_such() -> None:
    root = Role(id="1", name="all", data_actions=(f"{AKS}/*",))
    (reason,) = [one for one in explain(facts(roles=(held(root, "/"),)), PODS).reasons if one.rule == "A151"]
    assert reason.message.endswith("at /")
