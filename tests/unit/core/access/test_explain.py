from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.access.access_facts import Active, Eligible, Group, PolicyResult
from aks_entra.core.access.explain import explain
from aks_entra.core.access.explanation import Effect
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import RoleDefinition, Subject
from aks_entra.core.access.resource_access import EVERYTHING, ResourceAttributes, attributes
from aks_entra.core.cluster import Identity
from tests.support.access_cases import (
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
from tests.support.golden_files import approved

PODS = attributes("list", "pods", namespace="shop")
NODES = attributes("list", "nodes")
SHOP = f"{CLUSTER.resource_id}/namespaces/shop"
KUBERNETES = posture(azure_rbac=False)
ALL_READ = {"roles": (), "bindings": ()}


def policy(state: str, *controls: str, applies: bool = True) -> dict[str, Any]:
    return {"policies": (PolicyResult(id="1", name="aks", state=state, applies=applies, controls=controls),)}


CASES: dict[str, tuple[dict[str, Any], ResourceAttributes, bool | None, set[str]]] = {
    "nothing at all": ({}, NODES, False, {"A111", "A135", "A171", "A180"}),
    "nothing, with Kubernetes RBAC": ({"posture": KUBERNETES}, EVERYTHING, False, {"A180"}),
    "nothing for a write": ({}, attributes("create", "pods", namespace="shop"), False, {"A180"}),
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
    "newer sign-in": ({"posture": posture(identity=Identity.UNKNOWN)}, NODES, False, {"A101"}),
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
    "role under a condition": (
        {"roles": (held(READER, SHOP, condition="@Resource"), held(USER, condition="@Resource"))},
        PODS,
        None,
        {"A154", "A112"},
    ),
    "role with and without a condition": (
        {"roles": (held(READER, SHOP, condition="@"), held(READER, SHOP), held(USER, condition="@"), held(USER))},
        PODS,
        True,
        {"A154", "A151", "A110"},
    ),
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
    root = RoleDefinition(id="1", name="all", data_actions=(f"{AKS}/*",))
    (reason,) = [one for one in explain(facts(roles=(held(root, "/"),)), PODS).reasons if one.rule == "A151"]
    assert reason.message.endswith("at /")


MORE: dict[str, tuple[dict[str, Any], Any]] = {
    "two names, the second asked for": ({"names": ((ADMINS, "a"), (TEAM, "team")), "groups": frozenset({TEAM})}, PODS),
    "groups unread, and why": ({"groups": None, "unread": (("roles", "no"), ("groups", "Graph said 403"))}, NODES),
    "policies unread, and why": ({"policies": None, "unread": (("x", "no"), ("policies", "Graph said 403"))}, NODES),
    "eligible unread, and why": ({"eligible": None, "unread": (("eligible", "no licence"),)}, NODES),
    "roles unread, and why": ({"roles": None, "unread": (("roles", "ARM said 403"),)}, PODS),
    "bindings unread, and why": ({"bindings": None, "unread": (("bindings", "forbidden"),)}, PODS),
    "exactly 200 groups": ({"groups": frozenset(f"{it:03}" for it in range(200))}, NODES),
    "201 groups": ({"groups": frozenset(f"{it:03}" for it in range(201))}, NODES),
    "two ranges": ({"posture": posture(authorized_ip_ranges=("10.0.0.0/8", "20.0.0.0/8"))}, NODES),
    "a policy elsewhere, then two that ask": (
        {
            "policies": (
                PolicyResult(id="1", name="elsewhere", state="enabled", applies=False, controls=("block",)),
                PolicyResult(id="2", name="two", state="enabled", applies=True, controls=("mfa", "compliantDevice")),
                PolicyResult(id="3", name="off", state="disabled", applies=True, controls=("block",)),
                PolicyResult(id="4", name="quiet", state="enabledForReportingButNotEnforced", applies=True),
            )
        },
        NODES,
    ),
    "three admin groups, each in another state": (
        {
            "admin_groups": (
                Group(id=ADMINS, name="aks-admins", exists=False),
                Group(id=TEAM, name="team"),
                Group(id="99999999-AAAA", name="later"),
            ),
            "groups": frozenset({TEAM.upper()}),
            "direct": frozenset({TEAM}),
            "eligible": (Eligible(group_id="99999999-aaaa", until="2027-01-01"),),
        },
        NODES,
    ),
    "activated, and asked for in upper case": (
        {
            "groups": frozenset({ADMINS}),
            "direct": frozenset({TEAM}),
            "active": (Active(group_id=ADMINS.upper(), activated=True, until="18:00"),),
        },
        NODES,
    ),
    "roles near and far": (
        {
            "roles": (
                held(CLUSTER_ADMIN),
                held(USER, "/subscriptions/other"),
                held(READER, f"{CLUSTER.resource_id.upper()}/"),
                held(USER, f"/subscriptions/{CLUSTER.subscription_id}", TEAM),
            ),
            "names": ((TEAM, "team"),),
        },
        PODS,
    ),
    "a role in a namespace, spelt with a slash": (
        {"roles": (held(READER, f"{CLUSTER.resource_id}/namespaces/shop/"), held(USER, ""))},
        PODS,
    ),
    "the same, with Kubernetes RBAC": (
        {"roles": (held(READER, f"{CLUSTER.resource_id}/namespaces/shop/"), held(USER)), "posture": KUBERNETES},
        attributes("create", "pods", namespace="shop"),
    ),
    "bound by name, by id, in other case": (
        {
            "bindings": (
                binding("Group", ADMINS),
                binding("User", DANA.id, namespace="pay"),
                binding("User", DANA.name.upper(), role="edit"),
                replace(binding("User", DANA.name), subjects=(Subject(kind="User", name="erin"),)),
                binding("Group", "team", namespace="shop", role="edit"),
            ),
            "groups": frozenset({TEAM, ADMINS}),
            "names": ((ADMINS, "aks-admins"), (TEAM, "team")),
        },
        PODS,
    ),
    "bound as anybody who signed in": (
        {"bindings": (binding("Group", "system:authenticated"),), "posture": KUBERNETES},
        PODS,
    ),
    "everything, by nothing": ({"posture": KUBERNETES}, EVERYTHING),
    "a delete in one namespace": ({}, attributes("delete", "pods", namespace="shop")),
    "everything in one namespace": ({}, attributes("*", "*", namespace="shop")),
    "a watch": ({}, attributes("watch", "pods", namespace="shop")),
    "a robot that nothing lets in": ({"person": ROBOT, "posture": KUBERNETES}, attributes("create", "nodes")),
    "a group with a grant": ({"person": Principal(id=TEAM, kind="Group"), "groups": frozenset({ADMINS})}, NODES),
    "open, and one who may fetch": (
        {
            "posture": posture(local_accounts=True, identity=Identity.NONE),
            "roles": (held(USER), held(CLUSTER_ADMIN, "/subscriptions/other"), held(CLUSTER_ADMIN)),
        },
        NODES,
    ),
    "open, and one who may fetch it elsewhere only": (
        {"posture": posture(local_accounts=True), "roles": (held(USER), held(CLUSTER_ADMIN, "/subscriptions/other"))},
        NODES,
    ),
    "legacy and unread roles": ({"posture": posture(identity=Identity.LEGACY), "roles": None}, NODES),
    "no tenant is known": ({"posture": posture(tenant_id=None, power_state="Stopped")}, NODES),
}
EVERY = {name: (change, wanted) for name, (change, wanted, _, _) in CASES.items()} | MORE


def test_golden_why_somebody_can_or_cannot_get_in() -> None:
    answers = list[tuple[str, object]]()
    for name, (change, wanted) in EVERY.items():
        answer = explain(facts(**change), wanted)
        token = answer.token
        groups = None if token.groups is None else [*token.groups[:3], f"{len(token.groups)} in all"]
        lines = [
            f"wish: {answer.wanted}",
            f"allowed: {answer.allowed} because {answer.because}",
            f"kubeconfig: {answer.kubeconfig}",
            f"token: {token.username} {token.object_id} of {token.tenant_id} overage {token.overage} groups {groups}",
            *(f"{one.rule} {one.effect.value}: {one.message}" for one in answer.reasons),
            *(f"do: {one.remedy}" for one in answer.reasons if one.effect is Effect.BLOCKS),
        ]
        answers.append((name, lines))
    approved("access", answers)


def test_golden_what_to_do_about_it_and_who_can() -> None:
    reasons = [one for change, wanted in EVERY.values() for one in explain(facts(**change), wanted).reasons]
    every = {f"{one.rule} {one.effect.value} · {one.remedy!r} · {one.by!r}" for one in reasons}
    approved("access-remedies", [("finding · what to do · who can", sorted(every))])


def test_an_answer_without_a_reason_of_its_own_says_that_nothing_allows_it() -> None:
    answer = replace(explain(facts()), reasons=())
    assert answer.because == "nothing allows it"
