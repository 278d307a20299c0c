from __future__ import annotations

from typing import Any

from aks_entra.core.access import Group
from aks_entra.core.cluster import Identity
from aks_entra.core.grants import Grant, Via, description
from aks_entra.core.pim import Kind, Membership
from aks_entra.core.review import Seen, Way, ways
from tests.unit.access_cases import (
    ADMINS,
    CLUSTER,
    CLUSTER_ADMIN,
    DANA,
    NOW,
    READER,
    TEAM,
    USER,
    ask,
    binding,
    held,
    posture,
)


def seen(**change: Any) -> tuple[Way, ...]:
    whole: dict[str, Any] = {
        "posture": posture(),
        "groups": (Group(id=ADMINS, name="aks-admins"),),
        "members": {ADMINS: ()},
        "memberships": {ADMINS: ()},
        "roles": (),
        "bindings": (),
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
    assert [one.who for one in found].count("unknown") == 2
    assert any("unknown" in one.who and one.how == "admin group" for one in found)
    assert seen(groups=(Group(id=ADMINS, exists=False),))[0].how == "admin group that does not exist"


def test_static_credentials_are_a_way_in() -> None:
    found = seen(
        posture=posture(local_accounts=True, azure_rbac=False),
        roles=(held(CLUSTER_ADMIN), held(USER), held(CLUSTER_ADMIN, "/subscriptions/other")),
    )
    assert [one.who for one in found] == [DANA.id, "anybody who holds it"]
    assert seen(posture=posture(identity=Identity.NONE))[0].who == "anybody who holds it"


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
