from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from aks_entra.core.access.access_facts import Group
from aks_entra.core.access.grants import Grant, Via, description
from aks_entra.core.access.pim import Kind, Membership
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Subject
from aks_entra.core.access.review import Seen, Way, ways
from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from tests.support.access_cases import (
    ADMINS,
    CLUSTER,
    CLUSTER_ADMIN,
    DANA,
    HOUR,
    NOW,
    READER,
    ROBOT,
    TEAM,
    USER,
    ask,
    binding,
    grant,
    held,
    posture,
)
from tests.support.golden_files import approved


def seen(**change: Any) -> tuple[Way, ...]:
    whole: dict[str, Any] = {
        "posture": posture(),
        "groups": (Group(id=ADMINS, name="aks-admins"),),
        "members": {ADMINS: ()},
        "memberships": {ADMINS: ()},
        "roles": (),
        "bindings": (),
        "old_credentials": OldCredentials(debt=Debt.NONE, because="rotated on 2026-11-24"),
        **change,
    }
    return ways(Seen(**whole))


def test_members_and_those_who_may_become_one_are_told_apart() -> None:
    memberships = (
        Membership(id="1", kind=Kind.ACTIVE, group_id=ADMINS, principal_id=DANA.id, end=NOW),
        Membership(id="2", kind=Kind.ELIGIBLE, group_id=ADMINS, principal_id=TEAM),
        Membership(id="3", kind=Kind.ELIGIBLE, group_id=ADMINS, principal_id=DANA.id, end=NOW),
    )
    found = seen(members={ADMINS: (DANA,)}, memberships={ADMINS: memberships}, names={DANA.id: DANA})
    assert [(one.who, one.until) for one in found] == [
        (DANA.name, "2026-11-24T10:00:00Z"),
        (TEAM, ""),
        (DANA.name, "2026-11-24T10:00:00Z"),
    ]


def test_what_is_unknown_is_a_row_of_its_own() -> None:
    found = seen(members={}, memberships={}, roles=None, bindings=None)
    assert [one.how for one in found if one.unread] == [
        "Azure RBAC: role assignments may not be read",
        "Kubernetes RBAC: bindings may not be read",
        "admin group",
    ]
    assert seen(groups=(Group(id=ADMINS, exists=False),))[0].how == "admin group that does not exist"


def test_static_credentials_are_a_way_in() -> None:
    found = seen(
        posture=posture(local_accounts=True, azure_rbac=False),
        roles=(held(CLUSTER_ADMIN), held(USER), held(CLUSTER_ADMIN, "/subscriptions/other")),
    )
    assert [one.who for one in found] == [DANA.id, "anybody who holds it"]
    assert seen(posture=posture(identity=Identity.NONE))[0].who == "anybody who holds it"


@pytest.mark.parametrize(
    ("old", "why"),
    [
        (OldCredentials(debt=Debt.OWED, because="accounts were open on 2026-11-24"), "owed: accounts were open on"),
        (OldCredentials(debt=Debt.UNKNOWN, because="the CA was not read"), "unknown: the CA was not read"),
        (None, "unknown: not looked at"),
    ],
)
def test_an_old_credential_that_is_not_known_to_be_dead_is_a_way_in(old: OldCredentials | None, why: str) -> None:
    (found,) = seen(old_credentials=old)
    assert (found.who, found.scope) == ("anybody who holds one", "everything")
    assert found.how.startswith(f"static admin credential from before local accounts were off ({why}")


def test_roles_and_bindings_say_whether_we_gave_them() -> None:
    ours = description(ask(), "erin", ask().end)
    grant = Grant(
        via=Via.KUBERNETES, id="bindings/b1", cluster_key=CLUSTER.key, principal_id="1", role="view", until=None
    )
    found = seen(
        roles=(held(READER, description=ours), held(READER), held(USER)),
        bindings=(
            binding("User", "dana", namespace="shop"),
            binding("Group", ADMINS),
            binding("ServiceAccount", "default"),
            binding("Group", "system:masters"),
        ),
        grants=(grant,),
    )
    assert [(one.scope, one.until, one.ours) for one in found] == [
        (CLUSTER.resource_id, "2026-11-24T12:00:00Z", True),
        (CLUSTER.resource_id, "", False),
        ("shop", "", True),
    ]
    assert seen(bindings=(binding("User", "dana"),))[0].scope == "all namespaces"


def test_a_role_under_a_condition_says_so() -> None:
    conditional = held(READER, condition="@Resource[…]")
    assert [one.how for one in seen(roles=(conditional,))] == [f"Azure RBAC: {READER.name} under a condition"]


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
