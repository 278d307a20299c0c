"""Where a decision turns: the last value on each side, the second of two, and what is left without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aks_entra.core.access import explain
from aks_entra.core.callers import Call, who_breaks
from aks_entra.core.cluster import ClusterId, Pool
from aks_entra.core.conditional_access import SeenSignIn, WantedPolicy, is_excluded
from aks_entra.core.doctor import version_in
from aks_entra.core.durations import iso, moment, stamp
from aks_entra.core.fleet import GroupSpec, ProverSpec, StageSpec, arrange
from aks_entra.core.opening import Opening
from aks_entra.core.pim import MembershipRequest
from aks_entra.core.plan import FleetPlan, Prover, plan_cluster
from aks_entra.core.preflight import Memberships, Subnet
from aks_entra.core.preflight.case import listed
from aks_entra.core.preflight.finding import Rule, Severity, rule, says
from aks_entra.core.preflight.registry import reference
from aks_entra.core.rollout import MemberGroup
from aks_entra.core.rules import Role, covers
from aks_entra.core.rules import Rule as Allows
from aks_entra.core.windows import Window, opened
from aks_entra.core.wishes import EVERYTHING, Wish, data_action, scope_of, wish
from tests.unit import cases
from tests.unit.access_cases import AKS, POSTURE, facts
from tests.unit.cases import ADMINS, OTHERS
from tests.unit.test_preflight_rules import FLAT, SUBNET

EMPTY = cases.group(members=0, eligible=1)
EAST = timezone(timedelta(hours=5))
HOURS = Window(name="default", hours=(("Tuesday", 9),))
DAILY = Window(name="nodes", schedule="daily", duration_hours=4, start_time="23:00")
MONTHLY = Window(name="nodes", schedule="absoluteMonthly", day_of_month=15, duration_hours=4)
MONDAYS = Window(name="nodes", schedule="relativeMonthly", week_index="First", day_of_week="Monday", duration_hours=8)
WEEKLY = Window(name="nodes", schedule="weekly", day_of_week="Saturday", duration_hours=4, start_time="02:00")


def call(username: str, **how: Any) -> Call:
    return Call(**{"username": username, "verb": "list", "at": "2026-11-20T08:00:00Z", "address": "10.2.0.7", **how})


def test_what_was_refused_does_not_hide_what_came_after_it() -> None:
    found = who_breaks([call("helm", status=401), call("jenkins"), call("helm"), call("helm")])
    assert found is not None
    assert [(one.username, one.count) for one in found.callers] == [("helm", 2), ("jenkins", 1)]


def test_a_request_that_was_read_twice_does_not_hide_what_came_after_it() -> None:
    found = who_breaks([call("helm", id="1"), call("helm", id="1"), call("jenkins", id="2")])
    assert found is not None
    assert [(one.username, one.count) for one in found.callers] == [("helm", 1), ("jenkins", 1)]


def test_every_service_account_from_outside_is_named() -> None:
    names = [f"system:serviceaccount:ci:{name}" for name in ("a", "b")]
    found = who_breaks([call(name) for name in names])
    assert found is not None
    assert [one.username for one in found.callers] == names


@pytest.mark.parametrize(
    ("count", "words"), [(4, "0, 1, 2, 3"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, and 1 more"), (0, "")]
)
def test_only_what_is_left_out_is_counted(count: int, words: str) -> None:
    assert listed(tuple(str(number) for number in range(count))) == words


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=2), "P2D"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "P1DT2H3M4S"),
        (timedelta(minutes=90), "PT1H30M"),
        (timedelta(seconds=59), "PT59S"),
    ],
)
def test_a_span_in_iso_8601(length: timedelta, text: str) -> None:
    assert iso(length) == text


def test_times_are_told_in_utc_wherever_they_were_told() -> None:
    there = datetime(2026, 11, 24, 15, tzinfo=EAST)
    assert stamp(there) == "2026-11-24T10:00:00Z"
    read = moment("2026-11-24T15:00:00+05:00")
    assert (read, read.tzinfo) == (there, UTC)


@pytest.mark.parametrize(
    ("until", "due"),
    [
        ("2026-11-24T10:00:00Z", True),
        ("2026-11-24T10:00:01Z", False),
        ("2026-11-24T10:00:00", True),  # without a zone it is UTC
        ("2026-11-24T15:00:01+05:00", False),
        ("2026-11-24T05:00:00-05:00", True),
        ("2026-11-24T14:00:00+05:00", True),
        ("soon", True),
    ],
)
def test_an_opening_is_due_at_its_end(until: str, due: bool) -> None:
    assert Opening(until=until, since="", reason="").due(datetime(2026, 11, 24, 10, tzinfo=UTC)) is due


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        (HOURS, "2026-11-24T14:30:00+05:00", True),
        (HOURS, "2026-11-24T09:30:00+05:00", False),
        (replace(DAILY, utc_offset=""), "2026-11-24T23:00:00Z", True),
        (DAILY, "2026-11-25T04:00:00+05:00", True),
        (DAILY, "2026-11-24T23:00:00+05:00", False),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-24T20:59:00Z", False),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-25T00:59:00Z", True),
        (replace(DAILY, utc_offset="+02:00"), "2026-11-25T01:00:00Z", False),
        (replace(DAILY, utc_offset="-02:00"), "2026-11-25T01:00:00Z", True),
        (replace(DAILY, start_date="2026-11-24"), "2026-11-24T23:30:00Z", True),
        # what is not allowed: a day to its end, a moment to the moment, its first instant among it
        (replace(HOURS, not_allowed=(("2026-11-24", "2026-11-24"),)), "2026-11-24T09:30:00Z", False),
        (replace(HOURS, not_allowed=(("2026-11-23", "2026-11-23"),)), "2026-11-24T09:30:00Z", True),
        (
            replace(HOURS, not_allowed=(("2026-11-24T09:30:00Z", "2026-11-24T09:40:00Z"),)),
            "2026-11-24T09:30:00Z",
            False,
        ),
        (replace(HOURS, not_allowed=(("2026-11-24T09:20:00Z", "2026-11-24T09:30:00Z"),)), "2026-11-24T09:30:00Z", True),
        (replace(HOURS, not_allowed=(("2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z"),)), "2026-11-24T09:30:00Z", True),
        (
            replace(HOURS, not_allowed=(("2026-11-24T09:00:00+05:00", "2026-11-24T09:00:00+05:00"),)),
            "2026-11-24T09:30:00Z",
            True,
        ),
        (
            replace(HOURS, not_allowed=(("2026-11-24T14:00:00+05:00", "2026-11-24T15:00:00+05:00"),)),
            "2026-11-24T09:30:00Z",
            False,
        ),
        (
            replace(HOURS, not_allowed=(("2020-01-01", "2020-01-02"), ("2026-11-24", "2026-11-25"))),
            "2026-11-24T09:30:00Z",
            False,
        ),
        # weeks of a month
        (MONDAYS, "2026-06-01T01:00:00Z", True),
        (MONDAYS, "2026-09-07T01:00:00Z", True),
        (replace(MONDAYS, week_index="Second"), "2026-06-08T01:00:00Z", True),
        (replace(MONDAYS, week_index="Second"), "2026-09-14T01:00:00Z", True),
        (replace(MONDAYS, week_index="Second"), "2026-09-07T01:00:00Z", False),
        (replace(MONDAYS, week_index="Fourth"), "2026-06-22T01:00:00Z", True),
        (replace(MONDAYS, week_index="Last"), "2026-06-22T01:00:00Z", False),
        (replace(MONDAYS, week_index="Sometime"), "2026-06-01T01:00:00Z", False),
        (replace(MONDAYS, week_index="Sometime"), "2026-06-08T01:00:00Z", False),
        (replace(MONDAYS, interval=2), "2026-11-02T01:00:00Z", None),
        (replace(MONDAYS, interval=2, start_date="2026-09-01"), "2026-11-02T01:00:00Z", True),
        (replace(MONDAYS, interval=2, start_date="2026-10-01"), "2026-11-02T01:00:00Z", False),
        # months and weeks from the beginning on, over the turn of a year
        (replace(MONTHLY, interval=3, start_date="2025-11-01"), "2026-11-15T01:00:00Z", True),
        (replace(MONTHLY, interval=5, start_date="2025-12-01"), "2026-11-15T01:00:00Z", False),
        (replace(MONTHLY, interval=11, start_date="2025-12-01"), "2026-11-15T01:00:00Z", True),
        (replace(MONTHLY, interval=7, start_date="2025-12-01"), "2026-07-15T01:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-14"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-09"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=2, start_date="2026-11-15"), "2026-11-28T03:00:00Z", True),
        (replace(WEEKLY, interval=3, start_date="2026-11-15"), "2026-11-28T03:00:00Z", False),
        (replace(WEEKLY, interval=3, start_date="2026-11-08"), "2026-11-28T03:00:00Z", True),
    ],
)
def test_a_window_to_the_minute(window: Window, now: str, is_open: bool | None) -> None:
    assert opened((window,), now) is is_open


@pytest.fixture
def in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows another time zone than UTC."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_india")
def test_the_machine_s_own_time_zone_changes_nothing() -> None:
    assert opened((HOURS,), "2026-11-24T09:30:00Z") is True
    assert opened((DAILY,), "2026-11-24T23:30:00Z") is True
    assert opened((DAILY,), "2026-11-24T18:00:00Z") is False
    assert stamp(datetime(2026, 11, 24, 10, tzinfo=UTC)) == "2026-11-24T10:00:00Z"
    assert moment("2026-11-24T10:00:00Z").tzinfo is UTC


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (("get", "Pods", {}), Wish(verb="get", resource="pods", group="")),
        (("GET", "deployments", {}), Wish(verb="get", resource="deployments", group="apps")),
        (("get", "foos.example.com", {}), Wish(verb="get", resource="foos", group="example.com")),
        (("get", "pods.", {}), Wish(verb="get", resource="pods", group="")),
        (("get", "*", {}), Wish(verb="get")),
        (
            ("get", "pods/log", {"name": "web"}),
            Wish(verb="get", resource="pods", group="", subresource="log", name="web"),
        ),
    ],
)
def test_a_wish_as_kubectl_writes_it(said: tuple[str, str, dict[str, str]], wanted: Wish) -> None:
    verb, resource, more = said
    assert wish(verb, resource, **more) == wanted


@pytest.mark.parametrize(
    ("wanted", "words", "action"),
    [
        (EVERYTHING, "everything at the cluster scope", f"{AKS}/*"),
        (Wish(group="apps"), "everything at the cluster scope", f"{AKS}/*"),
        (Wish(verb="get"), "get * at the cluster scope", f"{AKS}/*/read"),
        (Wish(verb="*", resource="pods"), "* pods at the cluster scope", f"{AKS}/pods/*"),
        (Wish(verb="get", resource="pods"), "get pods at the cluster scope", f"{AKS}/pods/read"),
        (Wish(verb="get", resource="a", group="b"), "get a.b at the cluster scope", f"{AKS}/b/a/read"),
    ],
)
def test_a_wildcard_is_everything_only_in_both_places(wanted: Wish, words: str, action: str) -> None:
    assert str(wanted) == words
    assert data_action(wanted).replace(f"{AKS}/read", f"{AKS}/*/read") == action
    assert scope_of("/c", "") == "/c"
    assert scope_of("/c", "shop") == "/c/namespaces/shop"


@pytest.mark.parametrize(
    ("rule_", "wanted", "allowed"),
    [
        (Allows(verbs=("get",), groups=("",), resources=("*",)), wish("get", "pods"), True),
        (Allows(verbs=("*",), groups=("",), resources=("pods",)), wish("get", "pods"), True),
        (Allows(verbs=("get",), groups=("*",), resources=("pods",)), wish("get", "pods"), True),
        (Allows(verbs=("get",), groups=("",), resources=("*/",)), wish("get", "pods"), False),
        (Allows(verbs=("get",), groups=("",), resources=("*/log",)), wish("get", "pods"), False),
    ],
)
def test_a_rule_s_wildcards(rule_: Allows, wanted: Wish, allowed: bool) -> None:
    assert rule_.allows(wanted) is allowed


def test_what_is_taken_away_is_only_what_is_named() -> None:
    role = Role(id="1", name="r", data_actions=(f"{AKS}/pods/*",), not_data_actions=(f"{AKS}/secrets/*",))
    assert role.allows_data(f"{AKS}/pods/*")
    assert not replace(role, not_data_actions=(f"{AKS}/pods/delete",)).allows_data(f"{AKS}/pods/*")


@pytest.mark.parametrize(
    ("upper", "lower", "inside"),
    [
        ("/subscriptions/a/", "/subscriptions/a", True),
        ("/subscriptions/x", "/subscriptions/x", True),
        ("/subscriptions/x", "/subscriptions/x/", True),
        ("/subscriptions/ax", "/subscriptions/a", False),
        ("/subscriptions/a", "/subscriptions/ax", False),
        ("/subscriptions/a", "/subscriptions/a x ", False),
    ],
)
def test_a_scope_ends_where_it_ends(upper: str, lower: str, inside: bool) -> None:
    assert covers(upper, lower) is inside


def test_a_rule_of_preflight_is_made_of_a_function() -> None:
    def check(_: object) -> Any:
        """What it looks for,
        over two lines.
        """
        return iter(())

    made = rule("B901", "W901", "I901", seen_in="a property", remedy="repair it", firm=("B901",))(check)

    assert made == Rule(
        check=check, ids=("B901", "W901", "I901"), seen_in="a property", remedy="repair it", skippable=("W901",)
    )
    assert made.says == "What it looks for, over two lines."
    assert rule("B901", seen_in="x")(check).remedy == ""
    assert rule("B901", seen_in="x")(lambda _: iter(())).says == ""
    assert says("U901", "unknown", evidence="e").severity is Severity.UNKNOWN


def test_no_cell_of_the_reference_breaks_its_table() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6}


@pytest.mark.parametrize(
    ("status", "waits", "failed"),
    [
        *((word, True, False) for word in ("PendingApproval", "PendingAdminDecision")),
        *((word, False, True) for word in ("Denied", "Failed", "Canceled", "Revoked")),
        *((word, False, True) for word in ("TimedOut", "AdminDenied", "Invalid")),
        *((word, False, False) for word in ("Provisioned", "Granted", "PendingProvisioning", "")),
    ],
)
def test_what_a_request_s_status_means(status: str, waits: bool, failed: bool) -> None:
    request = MembershipRequest(id="1", status=status)
    assert (request.waits, request.failed) == (waits, failed)


@pytest.mark.parametrize(
    ("result", "applied", "would_fail"),
    [
        *((word, False, False) for word in ("", "notApplied", "reportOnlyNotApplied", "notEnabled")),
        ("unknownFutureValue", False, False),
        *((word, True, True) for word in ("failure", "reportOnlyFailure")),
        *((word, True, False) for word in ("success", "reportOnlySuccess", "reportOnlyInterrupted")),
    ],
)
def test_what_a_policy_s_result_means(result: str, applied: bool, would_fail: bool) -> None:
    sign_in = SeenSignIn(at="", user="dana", result=result)
    assert (sign_in.applied, sign_in.would_fail) == (applied, would_fail)


def test_only_members_of_an_excluded_group_are_left_alone() -> None:
    policy = WantedPolicy(name="p", groups=("g",), controls=(), break_glass_groups=("b",))
    assert is_excluded(policy, "d", frozenset({"B", "c"}))
    assert not is_excluded(policy, "d", frozenset({"c"}))
    assert not is_excluded(policy, "d", frozenset())


@pytest.mark.parametrize("missing", ["client_id", "tenant_id", "secret_from"])
def test_a_prover_of_its_own_is_named_whole(missing: str) -> None:
    whole: dict[str, Any] = {"client_id": "c", "tenant_id": "t", "secret_from": "SECRET"}
    assert Prover(object_id="o", **whole).spec == ProverSpec(**whole)
    assert Prover(object_id="o", **{**whole, missing: None}).spec is None


def test_an_answer_without_a_reason_of_its_own_says_that_nothing_allows_it() -> None:
    answer = replace(explain(facts()), reasons=())
    assert answer.because == "nothing allows it"


def test_a_cluster_that_is_in_no_plan_is_named() -> None:
    plan = FleetPlan(name="p", created_at="", prover=Prover(object_id="o"), clusters=(), stages=())
    with pytest.raises(KeyError, match="managedclusters/shop-01"):
        plan.plan_for(POSTURE.cluster)


@pytest.mark.parametrize(
    ("rule_id", "before", "known", "said"),
    [
        ("W109", {"admin_group_ids": (ADMINS, OTHERS)}, {"groups": (EMPTY, cases.group(OTHERS, people=0))}, 1),
        ("W130", {"pools": (Pool(name="own", count=1), FLAT)}, {"subnets": (Subnet(id=SUBNET, free=5),)}, 1),
        ("I119", {}, {"memberships": Memberships(groups=200, person=True)}, 0),
        ("I119", {}, {"memberships": Memberships(groups=201, person=True)}, 1),
        ("B013", {"authorized_ip_ranges": ("a", "b", "c", "d")}, {"unreachable": "no answer"}, 1),
    ],
)
def test_the_second_of_two_is_looked_at_too(
    rule_id: str, before: dict[str, Any], known: dict[str, Any], said: int
) -> None:
    plan = plan_cluster(cases.managed(**before), cases.target(), cases.facts(**known))
    found = [one for one in plan.findings if one.rule == rule_id]
    assert len(found) == said
    assert not [one for one in found if "ranges" in one.remedy and "(a, b, c)" not in one.remedy]


def test_hours_beyond_the_fourth_are_left_out() -> None:
    four = replace(HOURS, hours=tuple(("Tuesday", hour) for hour in range(4)))
    assert four.words == "default: Tuesday 00:00, Tuesday 01:00, Tuesday 02:00, Tuesday 03:00 (UTC)"


@pytest.mark.parametrize(
    ("least", "most", "bounds"), [(None, None, (3, 3)), (1, None, (3, 3)), (None, 5, (3, 3)), (1, 5, (1, 5))]
)
def test_a_pool_has_bounds_only_in_pairs(least: int | None, most: int | None, bounds: tuple[int, int]) -> None:
    assert Pool(name="a", count=3, min_count=least, max_count=most).bounds == bounds


def test_a_stage_is_arranged_as_it_was_described() -> None:
    group = GroupSpec(name="g", rest=True)
    spec = StageSpec(name="one", groups=(group,), max_concurrency=2, max_allowed_failures=3, gate_before=False)
    (stage,) = arrange((replace(spec, gate_after=True),), (POSTURE,))
    assert stage.groups == (MemberGroup(name="g", members=(POSTURE.cluster,)),)
    assert (stage.name, stage.max_concurrency, stage.max_allowed_failures) == ("one", 2, 3)
    assert (stage.gate_before, stage.gate_after) == (False, True)


def test_every_cluster_that_no_stage_takes_is_named() -> None:
    first = POSTURE
    second = replace(first, cluster=replace(first.cluster, name="shop-02"))
    stages = (StageSpec(name="one", groups=(GroupSpec(name="g", clusters=("other",)),)),)
    with pytest.raises(ValueError, match=r"^no group of the rollout takes shop-weu/shop-01, shop-weu/shop-02; add a"):
        arrange(stages, (second, first))


def test_what_is_no_resource_id_is_refused_with_the_form_of_one() -> None:
    form = "/resourceGroups/<group>/providers/Microsoft.ContainerService/managedClusters/<name>"
    with pytest.raises(ValueError, match="<subscription>" + form.replace(".", r"\.")):
        ClusterId.parse("/subscriptions/a")


def test_a_version_of_two_numbers_ends_in_zero() -> None:
    assert version_in("v1.18") == (1, 18, 0)
    assert version_in("kubectl 1.33.4, or 1.2.3") == (1, 33, 4)
