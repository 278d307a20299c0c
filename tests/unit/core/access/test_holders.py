"""Who holds the rights that are ways into a cluster, and who is told apart from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.access import holders
from aks_entra.core.access.holders import Rights
from aks_entra.core.access.rbac import Binding, RoleAssignment, RoleDefinition, Rule, Subject
from aks_entra.core.cluster import Identity
from aks_entra.core.doors.facts import Holders, Unread
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
    held,
    posture,
)

UNREAD = Unread(why="403", remedy="grant it")
KNOWN = {DANA.id: DANA, DANA.name: DANA, ROBOT.id: ROBOT}
CERTIFICATES = "certificates.k8s.io"
APPROVE = Rule(verbs=("update",), groups=(CERTIFICATES,), resources=("certificatesigningrequests/approval",))
SIGNERS = Rule(verbs=("approve",), groups=(CERTIFICATES,), resources=("signers",))
TOKENS = Rule(verbs=("create",), groups=("",), resources=("serviceaccounts/token",))
IMPERSONATE = Rule(verbs=("impersonate",), groups=("",), resources=("users",))
EVERYTHING = Rule(verbs=("*",), groups=("*",), resources=("*",))
RBAC_ADMIN = RoleDefinition(id="1", name="RBAC Cluster Admin", data_actions=(f"{AKS}/*",))
WRITER = RoleDefinition(id="2", name="RBAC Writer", data_actions=(f"{AKS}/serviceaccounts/*",))


def rights(*bindings: Binding, **change: Any) -> Rights:
    whole: dict[str, Any] = {"posture": posture(), "bindings": bindings, "roles": (), "names": KNOWN, **change}
    return Rights(**whole)


def bound(kind: str, name: str, *rules: Rule, namespace: str = "", home: str = "", stock: bool = False) -> Binding:
    subject = Subject(kind=kind, name=name, namespace=home)
    return Binding(name="b1", role="made", namespace=namespace, subjects=(subject,), rules=rules, stock=stock)


def test_a_holder_is_named_with_the_way() -> None:
    found = holders.token_makers(
        rights(
            bound("Group", TEAM, TOKENS, namespace="shop"),
            bound("User", DANA.id.upper(), TOKENS),
            bound("ServiceAccount", "ci", TOKENS, home="build"),
            bound("User", "left@contoso.com", replace(TOKENS, names=("b", "a")), namespace="pay"),
            bound("User", "nobody@contoso.com", IMPERSONATE),
        )
    )
    assert found.who == (
        f"{TEAM}: made by rolebinding shop/b1",
        f"{DANA.name}: made by clusterrolebinding b1",
        "service account build/ci: made by clusterrolebinding b1",
        "user left@contoso.com: made by rolebinding pay/b1 (only a, b)",
    )
    assert (found.administrators, found.own, found.conditional, found.unread) == ((), (), (), ())


def test_administrators_and_what_the_cluster_brings_are_told_apart() -> None:
    found = holders.impersonators(
        rights(
            bound("Group", ADMINS.upper(), EVERYTHING),
            bound("Group", "system:masters", EVERYTHING, stock=True),
            bound("User", "clusterAdmin", EVERYTHING, stock=True),
            bound("ServiceAccount", "addon", EVERYTHING, home="kube-system", stock=True),
            bound("User", "system:kube-scheduler", EVERYTHING),
            roles=(held(RBAC_ADMIN, "/subscriptions/11111111-1111-1111-1111-111111111111"),),
        )
    )
    assert found.who == ()
    assert [one.partition(":")[0] for one in found.administrators] == [ADMINS.upper(), DANA.name.partition(":")[0]]
    assert found.own == (
        "group system:masters",
        "service account kube-system/addon",
        "user clusterAdmin",
        "user system:kube-scheduler",
    )


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (bound("ServiceAccount", "tiller", EVERYTHING, home="kube-system"), "service account kube-system/tiller"),
        (bound("ServiceAccount", "mine", EVERYTHING, home="shop", stock=True), "service account shop/mine"),
        (bound("User", "clusterAdmin", EVERYTHING), "user clusterAdmin"),
        (bound("Group", "system:authenticated", EVERYTHING), "group system:authenticated"),
        (bound("Group", "system:serviceaccounts:shop", EVERYTHING), "group system:serviceaccounts:shop"),
        (bound("Group", "system:masters", EVERYTHING), "group system:masters"),
        (bound("User", "bob", EVERYTHING, stock=True), "user bob"),
    ],
)
def test_what_only_looks_like_the_cluster_s_own_counts(one: Binding, who: str) -> None:
    found = holders.impersonators(rights(one))
    assert [it.partition(": ")[0] for it in found.who] == [who]
    assert found.own == ()


def test_a_subject_counts_if_one_of_its_bindings_is_not_the_cluster_s_own() -> None:
    own = bound("ServiceAccount", "addon", TOKENS, home="kube-system", stock=True)
    for order in ((own, replace(own, stock=False)), (replace(own, stock=False), own)):
        assert holders.token_makers(rights(*order)).own == ()
    twice = holders.token_makers(rights(own, replace(own, name="b2")))
    assert twice.own == ("service account kube-system/addon",)


def test_a_request_is_approved_by_who_may_update_it_and_approve_for_the_signer() -> None:
    both = bound("User", DANA.name, APPROVE, SIGNERS)
    other = bound("User", ROBOT.id, APPROVE, replace(SIGNERS, names=("example.com/own",)))
    found = holders.certificate_approvers(rights(both, other))
    assert [it.partition(": ")[0] for it in found.who] == [f"user {DANA.name}"]
    for names in (("kubernetes.io/*",), (holders.SIGNER,)):
        named = bound("User", ROBOT.id, replace(APPROVE, verbs=("patch",)), replace(SIGNERS, names=names))
        assert len(holders.certificate_approvers(rights(named)).who) == 1
    assert holders.certificate_approvers(rights(other)).who == ()
    assert holders.certificate_approvers(rights(replace(both, namespace="shop"))).who == ()


def test_two_rights_that_no_subject_holds_together_still_count() -> None:
    first, second = bound("Group", TEAM, APPROVE), bound("Group", "approvers", SIGNERS)
    assert len(holders.certificate_approvers(rights(first, second)).who) == 1
    assert holders.certificate_approvers(rights(first)).who == ()
    assert holders.certificate_approvers(rights(second)).who == ()


def test_azure_rbac_gives_rights_in_the_cluster_and_in_namespaces() -> None:
    namespace = f"{CLUSTER.resource_id}/namespaces/shop"
    found = holders.token_makers(
        rights(
            roles=(
                held(WRITER, namespace, who=ROBOT.id),
                held(WRITER, who=TEAM),
                held(READER),
                held(WRITER, "/subscriptions/other", who=DANA.id),
                held(RBAC_ADMIN, f"{CLUSTER.resource_id}/namespaces/pay", who=DANA.id),
            )
        )
    )
    assert found.who == (
        f"{TEAM}: RBAC Writer at {CLUSTER.resource_id}",
        f"{DANA.name}: RBAC Cluster Admin at {CLUSTER.resource_id}/namespaces/pay",
        f"robot: RBAC Writer at {namespace}",
    )
    users = rights(roles=(held(RBAC_ADMIN, namespace),))
    assert holders.certificate_approvers(users) == Holders()
    off = rights(posture=posture(azure_rbac=False), roles=(held(RBAC_ADMIN),))
    assert holders.token_makers(off) == Holders()


def test_a_condition_makes_a_right_conditional_unless_it_is_held_without_one() -> None:
    conditional = held(RBAC_ADMIN, condition="@Resource[…]")
    found = holders.token_makers(rights(roles=(conditional,)))
    assert (len(found.conditional), found.who, found.administrators) == (1, (), ())
    assert holders.token_makers(rights(roles=(conditional, held(WRITER)))).conditional == ()
    both = rights(bound("User", DANA.id, TOKENS), roles=(conditional,))
    assert len(holders.token_makers(both).who) == 1
    assert holders.token_makers(both).conditional == ()


def test_what_could_not_be_read_is_said() -> None:
    assert holders.token_makers(rights(bindings=UNREAD)).unread == (UNREAD,)
    assert holders.token_makers(rights(roles=UNREAD)).unread == (UNREAD,)
    assert holders.token_makers(rights(roles=UNREAD, posture=posture(azure_rbac=False))).unread == ()
    for function in (holders.certificate_names, holders.unknown_principals):
        assert function(rights(bindings=UNREAD)) == UNREAD
    assert holders.unknown_principals(rights(names=UNREAD)) == UNREAD
    assert holders.run_command_holders(rights(roles=UNREAD)) == Holders(unread=(UNREAD,))
    assert holders.conditional_roles(rights(roles=UNREAD)) == UNREAD
    assert rights(names=UNREAD).called(DANA.id) == DANA.id


def test_without_kubernetes_rbac_everybody_holds_every_right() -> None:
    found = holders.token_makers(rights(posture=posture(kubernetes_rbac=False), bindings=UNREAD))
    assert found.who == ("everybody who can sign in: Kubernetes RBAC is off (enableRBAC)",)


def test_names_that_no_token_of_entra_carries_are_found() -> None:
    found = holders.certificate_names(
        rights(
            bound("User", "alice"),
            bound("Group", "developers", namespace="shop"),
            bound("Group", "system:masters"),
            bound("Group", "system:authenticated"),
            bound("User", "aks:jwt:github"),
            bound("Group", "system:masters", stock=True),
            bound("Group", ADMINS),
            bound("User", DANA.name),
            bound("Group", TEAM),
            bound("Group", "left@contoso.com"),
            bound("ServiceAccount", "ci", home="shop"),
            bound("User", "system:serviceaccount:shop:ci"),
            replace(bound("User", "clusterAdmin", stock=True), name="aks"),
        )
    )
    assert isinstance(found, Holders)
    assert found.who == (
        "group developers: made by rolebinding shop/b1",
        "group left@contoso.com: made by clusterrolebinding b1",
        "group system:authenticated: made by clusterrolebinding b1",
        "group system:masters: made by clusterrolebinding b1",
        "user aks:jwt:github: made by clusterrolebinding b1",
        "user alice: made by clusterrolebinding b1",
    )
    assert found.own == ("user clusterAdmin",)
    own = holders.certificate_names(rights(bound("Group", "system:masters", stock=True)))
    assert own == Holders(own=("group system:masters",))


def test_principals_that_the_directory_does_not_find_are_named() -> None:
    bindings = (
        bound("User", "Left@contoso.com"),
        bound("User", DANA.name.upper()),
        bound("Group", TEAM),
        bound("User", ROBOT.id.upper()),
        bound("User", "alice"),
        bound("ServiceAccount", "ci", home="shop"),
    )
    found = holders.unknown_principals(rights(*bindings))
    assert isinstance(found, Holders)
    assert [one.partition(": ")[0] for one in found.who] == [TEAM, "user Left@contoso.com"]
    wanted = holders.names_to_look_up(bindings, (held(READER),))
    assert wanted == (TEAM, DANA.id, ROBOT.id, DANA.name, "left@contoso.com")


RUN = RoleDefinition(id="3", name="Runner", actions=(f"{AKS}/runcommand/action",))
PROFILE = RoleDefinition(id="4", name="Profiles", actions=(f"{AKS}/accessProfiles/listCredential/action",))


def test_actions_are_held_at_or_above_the_cluster_by_others_than_this_program() -> None:
    assigned = (
        held(RUN),
        held(RUN, "/", who=TEAM),
        held(RUN, who=ROBOT.id),
        held(RUN, "/subscriptions/other", who="someone"),
    )
    found = holders.run_command_holders(rights(roles=assigned, runner=ROBOT.id.upper()))
    assert found.who == (f"{TEAM}: Runner at /", f"{DANA.name}: Runner at {CLUSTER.resource_id}")


@pytest.mark.parametrize(
    ("identity", "count"),
    [(Identity.NONE, 3), (Identity.UNKNOWN, 3), (Identity.MANAGED, 2), (Identity.LEGACY, 2)],
)
def test_the_kubeconfig_of_a_user_is_a_static_credential_only_without_entra(identity: Identity, count: int) -> None:
    roles = (held(CLUSTER_ADMIN), held(USER, who=TEAM), held(PROFILE, who=ROBOT.id), held(RUN, who="someone"))
    assert len(holders.credential_readers(rights(roles=roles, posture=posture(identity=identity))).who) == count


def test_role_assignments_with_a_condition_are_named() -> None:
    found = holders.conditional_roles(rights(roles=(held(READER), held(WRITER, condition="@Resource[…]"))))
    assert found == Holders(conditional=(f"{DANA.name}: RBAC Writer at {CLUSTER.resource_id}",))


FLEET = f"/subscriptions/{CLUSTER.subscription_id}/resourceGroups/hub/providers/Microsoft.ContainerService/fleets/f"


@pytest.mark.parametrize(
    ("data", "without", "reaches"),
    [
        (("Microsoft.ContainerService/fleets/members/*",), (), True),
        (("microsoft.containerservice/fleets/members/pods/read",), (), True),
        (("Microsoft.ContainerService/fleets/*",), (), True),
        (("Microsoft.ContainerService/fleets/*",), ("Microsoft.ContainerService/fleets/members/*",), False),
        ((f"{AKS}/*",), (), False),
    ],
)
def test_a_role_for_member_clusters_is_known_by_its_data_actions(
    data: tuple[str, ...], without: tuple[str, ...], reaches: bool
) -> None:
    role = RoleDefinition(id="5", name="For members", data_actions=data, not_data_actions=without)
    one: RoleAssignment = held(role, FLEET)
    assert holders.reaches_members(one) is reaches
    who = holders.fleet_holders(rights(), (one,)).who
    assert who == ((f"{DANA.name}: For members at {FLEET}",) if reaches else ())


def test_a_rule_without_names_is_no_limit_beside_one_with_names() -> None:
    two = bound("User", "alice", replace(TOKENS, names=("ci",)), TOKENS)
    assert "(only" not in holders.token_makers(rights(two)).who[0]
    assert binding("User", "alice").stock is False
