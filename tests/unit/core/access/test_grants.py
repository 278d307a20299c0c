from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.access.grant_rules import check, refused
from aks_entra.core.access.grants import (
    Approval,
    Grant,
    Keep,
    Level,
    Refuse,
    Via,
    Write,
    decide,
    description,
    due,
    end_in,
    grant_of,
    is_ours,
)
from aks_entra.core.access.principals import Principal
from aks_entra.core.cluster import Identity
from aks_entra.core.planning.approval import Approval as Decision
from tests.support.access_cases import (
    APPROVED,
    CLUSTER,
    DANA,
    HOUR,
    NOW,
    READER,
    ROBOT,
    TEAM,
    ask,
    grant,
    held,
    posture,
)
from tests.support.golden_files import approved, cases


def test_a_digest_is_of_everything_that_was_asked() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"level": Level.WRITER},
        {"namespace": ""},
        {"end": None},
        {"via": Via.KUBERNETES},
        {"principal": ROBOT},
        {"reason": "CHG-2"},
        {"requested_by": "erin"},
    )
    assert len({ask().digest, *(ask(**change).digest for change in changes)}) == len(changes) + 1
    assert ask().digest == ask().digest


def test_names_are_steady_and_an_extension_is_a_second_binding() -> None:
    assert ask().assignment_name == ask(end=None).assignment_name
    assert ask().assignment_name != ask(level=Level.WRITER).assignment_name
    assert ask().binding_name != ask(end=None).binding_name
    assert ask().scope.endswith("/managedClusters/shop-01/namespaces/shop")


def test_a_request_reads_well_and_is_named_as_kubernetes_does() -> None:
    assert str(ask()) == (
        "dana@contoso.com: Azure Kubernetes Service RBAC Reader on shop-weu/shop-01 namespace shop until "
        "2026-11-24T12:00:00Z"
    )
    assert str(ask(end=None, namespace="", via=Via.KUBERNETES)).endswith(": view on shop-weu/shop-01 for good")
    assert (DANA.kubernetes_name, ROBOT.kubernetes_name) == (DANA.name, ROBOT.id)
    assert Principal(id="1", kind="User").called == "1"


@pytest.mark.parametrize("level", Level)
def test_every_level_can_be_proven(level: Level) -> None:
    assert ask(level=level).attributes.verb in {"list", "create"}


def test_the_end_stands_in_the_grant_and_is_read_back() -> None:
    text = description(ask(reason="a;b\nuntil=never"), "erin", ask().end)
    assert is_ours(text)
    assert end_in(text) == (ask().end, False)
    assert end_in(description(ask(end=None), "erin", None)) == (None, False)
    assert end_in("aks-entra grant; reason=x") == (None, True)
    assert end_in("aks-entra grant; until=soon") == (None, True)
    assert len(description(ask(reason="x" * 5000), "erin", ask().end)) <= 1024


@pytest.mark.parametrize(
    ("claimed", "approval", "words"),
    [
        (True, "erin, a claim", "for=dana@contoso.com, a claim; by=erin, a claim; reason"),
        (True, "erin, signed at Microsoft Entra ID", "for=dana@contoso.com, a claim; by=erin, signed at Microsoft"),
        (False, "", "for=dana@contoso.com, the identity that ran this; by=erin, the identity that ran this; reason"),
    ],
)
def test_a_grant_says_what_stands_behind_the_names_of_who_asked_and_who_approved(
    claimed: bool, approval: str, words: str
) -> None:
    asked = ask(claimed=claimed)
    written = decide(asked, Approval(digest=asked.digest, approver="erin", by=approval), None, NOW)
    assert isinstance(written, Write)
    assert words in written.text
    assert asked.digest == ask().digest  # the digest does not depend on who typed the name


def test_only_assignments_with_our_mark_are_ours() -> None:
    text = description(ask(), "erin", ask().end)
    found = grant_of(held(READER, f"{CLUSTER.resource_id}/namespaces/Shop", description=text), CLUSTER.key)
    assert found is not None
    assert (found.until, found.namespace, found.ends) == (ask().end, "Shop", "2026-11-24T12:00:00Z")
    whole = grant_of(held(READER, description=text), CLUSTER.key)
    assert whole is not None
    assert whole.namespace == ""
    assert grant_of(held(READER, description="by hand"), CLUSTER.key) is None


def test_a_grant_without_a_readable_end_is_over() -> None:
    assert due((grant(), grant(id="2", until=NOW), grant(id="3", until=None), grant(id="4", unreadable=True)), NOW) == (
        grant(id="2", until=NOW),
        grant(id="4", unreadable=True),
    )
    assert (grant(until=None).ends, grant(unreadable=True).ends) == ("never", "unreadable")


@pytest.mark.parametrize("approval", [None, Approval(digest="other", approver="erin")])
def test_without_an_approval_of_it_nothing_is_written(approval: Approval | None) -> None:
    assert isinstance(decide(ask(), approval, None, NOW), Refuse)


def test_nobody_approves_their_own_request_but_everybody_acts_by_their_own_authority() -> None:
    mine = ask(requested_by="Dana@contoso.com")
    approval = Approval(digest=mine.digest, approver="dana@contoso.com", separate=True)
    refused = decide(mine, approval, None, NOW)
    assert isinstance(refused, Refuse)
    assert "nobody can approve their own request" in refused.why
    assert not isinstance(decide(mine, replace(approval, separate=False), None, NOW), Refuse)
    assert not isinstance(decide(mine, replace(approval, approver="erin@contoso.com"), None, NOW), Refuse)


def test_what_is_over_is_not_written() -> None:
    assert isinstance(decide(ask(), APPROVED, None, NOW + 2 * HOUR), Refuse)


@pytest.mark.parametrize("until", [NOW + 2 * HOUR, NOW + 3 * HOUR, None])
def test_what_lasts_as_long_is_kept(until: Any) -> None:
    assert isinstance(decide(ask(), APPROVED, grant(until=until), NOW), Keep)


@pytest.mark.parametrize("existing", [None, grant(), grant(until=NOW), grant(until=None, unreadable=True)])
def test_what_is_missing_or_ends_sooner_is_written(existing: Grant | None) -> None:
    decision = decide(ask(), APPROVED, existing, NOW)
    assert isinstance(decision, Write)
    assert decision.until == ask().end
    assert "; by=erin, the identity that ran this; " in decision.text


@pytest.mark.parametrize(("signed", "said"), [((), "a claim"), (("{}",), "signed at Microsoft Entra ID")])
def test_a_grant_says_whether_its_approver_is_a_claim(signed: tuple[str, ...], said: str) -> None:
    shown = Decision(
        plan="p", stage="s", moment="before", decision="approve", approver="erin", reason="CHG-1", signed=signed
    )
    decision = decide(ask(), replace(APPROVED, by=shown.by), None, NOW)
    assert isinstance(decision, Write)
    assert f"; by=erin, {said}; " in decision.text
    assert end_in(decision.text) == (ask().end, False)


def test_a_request_for_good_replaces_one_that_ends() -> None:
    forever = ask(end=None)
    decision = decide(forever, Approval(digest=forever.digest, approver="erin"), grant(), NOW)
    assert isinstance(decision, Write)
    assert decision.until is None


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({}, set()),
        ({"end": None}, {"G101"}),
        ({"end": NOW + timedelta(minutes=1)}, {"G001"}),
        ({"end": NOW + timedelta(days=31)}, {"G001"}),
        ({"reason": " "}, {"G002"}),
        ({"principal": replace(DANA, enabled=False)}, {"G004"}),
        ({"level": Level.CLUSTER_ADMIN}, {"G005"}),
        ({"level": Level.CLUSTER_USER, "namespace": "", "via": Via.KUBERNETES}, {"G006", "G102"}),
        ({"via": Via.KUBERNETES}, {"G102"}),
        ({"principal": Principal(id=TEAM, kind="Group", name="team")}, {"G103"}),
    ],
)
def test_a_request_is_checked_before_anybody_is_asked(change: dict[str, Any], rules: set[str]) -> None:
    assert {one.rule for one in check(ask(**change), posture(), NOW)} == rules


def test_a_cluster_must_listen_to_what_is_granted() -> None:
    assert [one.rule for one in refused(check(ask(), posture(azure_rbac=False), NOW))] == ["G007"]
    user = ask(level=Level.CLUSTER_USER, namespace="")
    assert check(user, posture(azure_rbac=False), NOW) == ()
    assert {one.rule for one in check(ask(), posture(identity=Identity.NONE), NOW)} == {"G003"}


def test_golden_what_is_asked_checked_and_written() -> None:
    later = NOW + timedelta(days=30)
    requests: list[dict[str, Any]] = [
        *(change for change, _ in cases(test_a_request_is_checked_before_anybody_is_asked)),
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
            [*check(one, posture(), NOW), one.digest, one.scope, one.assignment_name, one.attributes, one.principal],
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
