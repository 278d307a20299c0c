"""What people read about access, whole: see `approved.py` for how a text is renewed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aks_entra.core.access import Active, Effect, Eligible, Group, PolicyResult, explain
from aks_entra.core.cluster import ClusterId, Identity
from aks_entra.core.conditional_access import ENFORCED, Control, SeenSignIn, preflight
from aks_entra.core.doctor import Check, Patient, Reach, SignedInAs, examine
from aks_entra.core.grants import Approval, Level, Principal, Via, check, decide, description, grant_of
from aks_entra.core.kubelogin import Mode, SignIn, arguments, refusal
from aks_entra.core.pim import ActivationPolicy, Kind, Membership, check_activation, check_policy
from aks_entra.core.review import Seen, Way, ways
from aks_entra.core.rules import Role, Rule, Subject
from aks_entra.core.wishes import EVERYTHING, wish
from tests.unit import test_doctor, test_grants, test_just_in_time
from tests.unit.access_cases import (
    ADMINS,
    CLUSTER,
    CLUSTER_ADMIN,
    DANA,
    NOW,
    READER,
    ROBOT,
    TEAM,
    TENANT,
    USER,
    ask,
    binding,
    facts,
    held,
    posture,
)
from tests.unit.approved import approved, brief, cases
from tests.unit.test_access import CASES, KUBERNETES, NODES, PODS
from tests.unit.test_grants import APPROVED, HOUR, grant
from tests.unit.test_just_in_time import STANDING, WANTED, around, request

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
        wish("create", "pods", namespace="shop"),
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
    "a delete in one namespace": ({}, wish("delete", "pods", namespace="shop")),
    "everything in one namespace": ({}, wish("*", "*", namespace="shop")),
    "a watch": ({}, wish("watch", "pods", namespace="shop")),
    "a robot that nothing lets in": ({"person": ROBOT, "posture": KUBERNETES}, wish("create", "nodes")),
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
            f"wish: {answer.wish}",
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


def test_golden_what_a_machine_needs() -> None:
    def line(one: Check) -> str:
        return f"{one.name} {one.light.value}: {one.found!r} · wanted {one.wanted!r} · do {one.remedy!r}"

    def checks(title: str, **change: Any) -> tuple[str, list[str]]:
        known = {"tools": test_doctor.TOOLS, "reach": (), "signed_in": test_doctor.HERE, **change}
        return title, [line(one) for one in examine(Patient(**known))]

    def tool(title: str, name: str, **change: str) -> tuple[str, str]:
        return title, line(test_doctor.with_tool(name, **change)[name])

    everything = {"cluster": "shop-01", "cluster_version": "1.34.1", "cluster_tenant": TENANT.upper()}
    skews = (60.0, 60.5, -60.5, 300.0, 300.5, -301.0)
    approved(
        "doctor",
        [
            checks(
                "a sound machine", reach=(Reach(host="login", skew=1.4), Reach(host="arm", skew=None)), **everything
            ),
            *(
                tool(f"{name} {change or 'nowhere'}", name, **change)
                for name, change, _ in cases(test_doctor.test_a_tool_is_there_and_new_enough)
            ),
            *(tool(f"no {one.name}", one.name) for one in test_doctor.TOOLS),
            tool("a version of two numbers", "kubectl", path="/k", version="v1.18"),
            tool("the least az", "az", path="/az", version="2.29.0"),
            checks("kubectl too old", cluster="shop-01", cluster_version="1.35.2"),
            checks("another major version", cluster="shop-01", cluster_version="2.33.0"),
            checks("a cluster without a version", cluster="shop-01"),
            checks("no kubectl to compare", tools=(), cluster="shop-01", cluster_version="1.34.1"),
            checks("a cluster that cannot be read", cluster="shop-01", cluster_error="403: no right"),
            checks("the worst clock counts", reach=(Reach(host="a", skew=5.0), Reach(host="b", skew=-90.0))),
            *(checks(f"a clock off by {skew} s", reach=(Reach(host="a", skew=skew),)) for skew in skews),
            checks("a host that does not answer", reach=(Reach(host="arm", error="timed out", remedy="open 443"),)),
            checks("nobody", signed_in=SignedInAs()),
            checks("no credential", signed_in=SignedInAs(error="none was found")),
            checks("an expired one", signed_in=SignedInAs(error="expired", remedy="az login --tenant t")),
            checks("another tenant", cluster="shop-01", cluster_version="1.33.0", cluster_tenant="other"),
        ],
    )


def test_golden_how_to_sign_in() -> None:
    ways_in = [
        (
            f"{mode.value} {client or 'without a client'}",
            " ".join(arguments(SignIn(mode=mode, tenant_id="t", client_id=client))),
        )
        for mode in Mode
        for client in ("", "c")
    ]
    clusters = [posture(), *(posture(identity=one) for one in Identity), posture(fqdn=None), posture(fqdn="")]
    refusals = [(f"{one.identity.value} at {one.fqdn or 'nowhere'}", list(refusal(one))) for one in clusters]
    approved("kubelogin", [*ways_in, *refusals])


def test_golden_what_is_asked_checked_and_written() -> None:
    later = NOW + timedelta(days=30)
    requests: list[dict[str, Any]] = [
        *(change for change, _ in cases(test_grants.test_a_request_is_checked_before_anybody_is_asked)),
        *({"level": level, "namespace": ""} for level in Level),
        *({"level": level, "via": Via.KUBERNETES} for level in Level if level is not Level.CLUSTER_USER),
        {"end": NOW + timedelta(minutes=5)},
        {"end": later},
        {"end": None, "via": Via.KUBERNETES},
        {"end": later + timedelta(seconds=1)},
        {"principal": ROBOT, "requested_by": ""},
    ]
    asks = [ask(**change) for change in requests]
    written = [
        (
            str(one),
            [*check(one, posture(), NOW), one.digest, one.scope, one.assignment_name, one.wish, one.principal],
        )
        for one in asks
        if one.via is Via.AZURE or one.level is not Level.CLUSTER_USER
    ]
    names = [
        (f"binding {one.level.value} {one.namespace}", one.binding_name) for one in asks if one.via is Via.KUBERNETES
    ]
    clusters = {
        "no Azure RBAC": posture(azure_rbac=False),
        "no Entra": posture(identity=Identity.NONE),
        "legacy": posture(identity=Identity.LEGACY, azure_rbac=False),
    }
    checked = [(f"{ask()} · {title}", check(ask(), where, NOW)) for title, where in clusters.items()]
    no_role = ask(level=Level.CLUSTER_USER, namespace="", via=Via.KUBERNETES)
    checked.append(("a role that Kubernetes does not have", check(no_role, posture(), NOW)))
    forever = ask(end=None)
    decisions = [
        ("nobody approved", decide(ask(), None, None, NOW)),
        ("another one was approved", decide(ask(), Approval(digest="x", approver="erin"), None, NOW)),
        ("its end is now", decide(ask(), APPROVED, None, NOW + 2 * HOUR)),
        ("its end is in a second", decide(ask(), APPROVED, None, NOW + 2 * HOUR - timedelta(seconds=1))),
        ("one that lasts as long", decide(ask(), APPROVED, grant(until=NOW + 2 * HOUR), NOW)),
        ("one that ends sooner", decide(ask(), APPROVED, grant(), NOW)),
        ("for good", decide(forever, Approval(digest=forever.digest, approver="erin"), None, NOW)),
    ]
    marked = description(ask(reason="a;  b\n=c"), "erin", ask().end)
    scopes = (
        CLUSTER.resource_id,
        f"{CLUSTER.resource_id}/namespaces/",
        f"{CLUSTER.resource_id}/Namespaces/Shop",
    )
    texts = (marked, description(ask(requested_by=""), "", None), "aks-entra grant; until=soon", "by hand")
    read = [
        (f"{text} at {scope}", grant_of(held(READER, scope, description=text, principal_type="User"), CLUSTER.key))
        for text in texts
        for scope in scopes
    ]
    approved("grants", [*written, *names, *checked, *decisions, *read])


def test_golden_just_in_time() -> None:
    table = cases(test_just_in_time.test_what_pim_would_refuse_is_said_before)
    asked = [
        (f"{sorted(change)} · {brief(policy)}", check_activation(request(**change), policy, app_only=app))
        for change, policy, app, _ in [
            *table,
            ({"duration": timedelta(minutes=5)}, None, False, set()),
            ({"duration": timedelta(hours=8)}, ActivationPolicy(), True, set()),
            ({"activate": False}, ActivationPolicy(mfa=True), False, set()),
        ]
    ]
    lengths = (timedelta(minutes=4), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24), timedelta(hours=25))
    policies = [
        (f"at most {length}, owned by {owners}", check_policy(ActivationPolicy(max_duration=length), owners))
        for length in lengths
        for owners in ((), ("o",))
    ]
    kinds = [
        ActivationPolicy(),
        ActivationPolicy(max_duration=HOUR, justification=False, ticket=True, mfa=True),
        ActivationPolicy(justification=False, approvers=("a",)),
        ActivationPolicy(approver_groups=("a",)),
    ]
    compared = [(f"{brief(one)} · beside · {brief(other)}", one.differences(other)) for one in kinds for other in kinds]
    properties = [(brief(one), [str(one.approval), one.enabled_rules]) for one in kinds]
    approved("just-in-time", [*asked, *policies, *compared, *properties])


def test_golden_conditional_access() -> None:
    table = cases(test_just_in_time.test_a_policy_that_locks_out_is_refused)
    enforced = replace(STANDING, state=ENFORCED)
    both = (Control.MFA, Control.DOMAIN_JOINED)
    more = [
        (WANTED, around(standing=enforced, sign_ins=()), False, {"C011"}),
        (WANTED, around(namesakes=1), False, set[str]()),
        (WANTED, around(standing=replace(enforced, operator="OR", groups=())), True, {"C010"}),
        (WANTED, around(standing=STANDING, break_glass_missing=("x", "y")), False, {"C002"}),
        (WANTED, around(runners=(*around().runners, test_just_in_time.runner(name="dana"))), False, {"C006"}),
        (
            WANTED,
            around(runners=(test_just_in_time.runner(covered=None, excluded=True, name="dana"),)),
            False,
            {"C007"},
        ),
        (test_just_in_time.wanted(controls=(*both, Control.BLOCK)), around(), False, {"C005", "C103"}),
        (
            WANTED,
            around(
                standing=STANDING,
                sign_ins=tuple(
                    SeenSignIn(at="", user=user, result=result)
                    for user, result in (("zoe", "failure"), ("amy", "reportOnlyFailure"), ("bob", "success"))
                ),
            ),
            True,
            {"C106"},
        ),
    ]
    words = [
        (
            f"{' '.join(sorted(rules)) or 'silent'} · {brief(policy)} · enforce {enforce}",
            preflight(policy, place, enforce=enforce),
        )
        for policy, place, enforce, rules in [*table, *more]
    ]
    others = [
        replace(STANDING, controls=("mfa", "block"), excluded_users=("b", "a"), excluded_groups=("g",)),
        replace(STANDING, trusted_locations=("l",), groups=("h", "g"), operator="OR"),
    ]
    approved("conditional-access", [*words, *((brief(one), one.differences(WANTED)) for one in others)])


def test_golden_who_gets_in() -> None:
    memberships = (
        Membership(id="1", kind=Kind.ACTIVE, group_id=ADMINS, principal_id=DANA.id, end=NOW),
        Membership(id="2", kind=Kind.ELIGIBLE, group_id=ADMINS, principal_id=TEAM),
        Membership(id="3", kind=Kind.ELIGIBLE, group_id=ADMINS, principal_id=DANA.id, end=NOW + HOUR),
        Membership(id="4", kind=Kind.ACTIVE, group_id=ADMINS, principal_id=ROBOT.id),
    )
    ours = description(ask(), "erin", ask().end)
    forever = description(ask(), "erin", None)
    damaged = "aks-entra grant; until=soon"
    whole: dict[str, Any] = {
        "posture": posture(local_accounts=True),
        "groups": (Group(id="gone", name="old", exists=False), Group(id="AAAA"), Group(id=ADMINS, name="aks-admins")),
        "members": {ADMINS: (DANA, ROBOT), "gone": (DANA,)},
        "memberships": {ADMINS: memberships, "gone": memberships},
        "roles": (
            held(CLUSTER_ADMIN, "/subscriptions/other"),
            held(CLUSTER_ADMIN, who=TEAM),
            held(USER),
            *(held(READER, description=text) for text in (ours, forever, damaged, "by hand")),
        ),
        "bindings": (
            binding("ServiceAccount", "default"),
            binding("User", "system:kube-proxy"),
            binding("User", "clusterAdmin"),
            binding("User", "clusterUser"),
            binding("Group", ADMINS.upper()),
            binding("User", DANA.id, namespace="shop"),
            replace(binding("User", "dana", role="edit"), name="b2"),
            replace(binding("Group", TEAM), name="b3"),
            replace(
                binding("User", "x", role="edit"),
                subjects=(Subject(kind="ServiceAccount", name="ci"), Subject(kind="User", name="erin")),
            ),
        ),
        "grants": (
            grant(via=Via.KUBERNETES, id="rolebindings/shop/b1"),
            grant(via=Via.KUBERNETES, id="b2", until=None),
            grant(via=Via.KUBERNETES, id="b3", until=datetime(2027, 1, 1, tzinfo=UTC), unreadable=True),
        ),
        "names": {DANA.id: DANA, TEAM: Principal(id=TEAM, kind="Group", name="team")},
    }
    cases_of: dict[str, dict[str, Any]] = {
        "all kinds of ways": {},
        "no names, no Azure RBAC": {"names": None, "posture": posture(azure_rbac=False)},
        "no Entra, closed": {"posture": posture(identity=Identity.NONE)},
        "nothing could be read": {"members": {}, "memberships": {}, "roles": None, "bindings": None},
    }

    def line(way: Way) -> str:
        return f"{way.cluster} {way.who!r} · {way.how!r} · {way.scope!r} · until {way.until!r} · ours {way.ours}"

    found = [(title, [line(one) for one in ways(Seen(**{**whole, **change}))]) for title, change in cases_of.items()]
    approved("review", found)


def test_golden_names_of_rules_and_clusters() -> None:
    role = Role(id="1", name="r", data_actions=("A/*",), actions=("b",))
    shop = ClusterId(subscription_id="S", resource_group="G", name="N")
    values = [role, Rule(verbs=("get",), groups=("",), resources=("pods",)), held(READER), binding("User", "d")]
    approved("names", [("rules", values), ("a cluster", [shop.resource_id, shop.key, str(shop)])])
