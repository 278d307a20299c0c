"""Documents come back as they went, and a changed one is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.durations import moment
from aks_entra.core.estimate.expected import expected_time
from aks_entra.core.evidence.observations import Baseline, Node, Workload
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.verdict.verdict import judge
from aks_entra.documents import (
    dump_baseline,
    dump_plan,
    dump_report,
    dump_verdict,
    load_baseline,
    load_plan,
    load_report,
    load_verdict,
    pack,
    unpack,
)
from aks_entra.errors import Refused
from tests.support.cases import CREATE, NOW, SHOP, WHOLE, facts, posture, target
from tests.support.rollouts import fleet_of
from tests.support.verdict_cases import report_of

PLAN = fleet_of(plan_cluster(posture(), target(CREATE), facts()))


def test_they_come_back() -> None:
    verdict = judge(PLAN.clusters[0], WHOLE)
    baseline = Baseline(
        cluster=SHOP.key,
        at=NOW,
        ca="4be1",
        nodes=(Node(name="a", pool="p", ready=True),),
        workloads=(Workload(kind="DaemonSet", namespace="n", name="w", desired=1, available=1),),
        credential_held=True,
    )
    assert load_verdict(dump_verdict(verdict)) == verdict
    assert load_baseline(dump_baseline(baseline)) == baseline
    assert json.loads(dump_plan(PLAN)) | {"plan": None} == {
        "kind": "aks-entra/plan",
        "digest": PLAN.digest,
        "facts": PLAN.facts_digest,
        "plan": None,
    }
    assert "ä" in dump_plan(replace(PLAN, name="ä"))


def without_facts(text: str) -> dict[str, Any]:
    """A plan's document as earlier versions wrote it."""
    return {key: value for key, value in json.loads(text).items() if key != "facts"}


def test_a_changed_plan_is_refused() -> None:
    text = dump_plan(PLAN)
    with pytest.raises(Refused, match=r"this plan was changed: its content has the digest sha256:"):
        load_plan(text.replace("cluster-admins", "cluster-owners"))
    with pytest.raises(Refused, match="but it says none"):
        load_plan(json.dumps({key: value for key, value in json.loads(text).items() if key != "digest"}))
    later = text.replace("2026-11-24T08:00:00Z", "2026-11-24T08:00:01Z")
    with pytest.raises(Refused, match=r"this plan was changed: its content .* has the facts digest sha256:"):
        load_plan(later)
    assert load_plan(json.dumps(without_facts(later))).digest == PLAN.digest


def test_a_changed_report_is_refused() -> None:
    with pytest.raises(Refused, match="this report was changed"):
        load_report(dump_report(report_of(*WHOLE)).replace('"so"', '"yes"'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no plan: it is not JSON"),
        ("[]", 'this is no plan: its "kind" is None, not "aks-entra/plan"'),
        ('{"kind": "aks-entra/report"}', "its \"kind\" is 'aks-entra/report'"),
        ('{"kind": "aks-entra/plan"}', "this plan is malformed at plan"),
        ('{"kind": "aks-entra/plan", "plan": {"name": 1}}', "this plan is malformed at name"),
        (
            json.dumps(
                json.loads(dump_plan(PLAN))
                | {"plan": json.loads(dump_plan(PLAN))["plan"] | {"stages": [{"name": "a"}]}}
            ),
            "this plan is malformed at stages.0.groups",
        ),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        load_plan(text)
    assert said in refused.value.message
    assert refused.value.remedy


@pytest.mark.parametrize("kind", ["ensure-admin-group", "prove-sign-in"])
def test_steps_with_equal_fields_are_not_confused(kind: str) -> None:
    document = json.loads(dump_plan(PLAN))
    assert kind in [step["kind"] for step in document["plan"]["clusters"][0]["steps"]]
    assert [type(step) for step in load_plan(json.dumps(document)).clusters[0].steps] == [
        type(step) for step in PLAN.clusters[0].steps
    ]


@pytest.mark.parametrize(
    "packed",
    ["not base64!", "bm8gZ3ppcA==", pack("a plan")[:-12], base64.b64encode(b"\x1f\x8b\x08").decode(), "é"],
)
def test_a_damaged_package_is_refused(packed: str) -> None:
    with pytest.raises(Refused, match="damaged"):
        unpack(packed)


@pytest.mark.parametrize(
    ("field", "value"), [("findings", []), ("debt_because", "nobody ever had a credential"), ("tier", "Premium")]
)
def test_a_plan_whose_findings_were_changed_is_refused(field: str, value: object) -> None:
    document = json.loads(dump_plan(PLAN))
    assert document["plan"]["clusters"][0][field] != value
    document["plan"]["clusters"][0][field] = value
    with pytest.raises(Refused, match="this plan was changed"):
        load_plan(json.dumps(document))


def test_a_plan_of_an_earlier_version_is_read_and_says_that_its_findings_stand_under_no_digest() -> None:
    old = load_plan(json.dumps(without_facts(dump_plan(PLAN))))
    assert (old.digest, old.unsealed) == (PLAN.digest, True)
    kept = load_plan(dump_plan(old))
    assert (kept.unsealed, kept.facts_digest != PLAN.facts_digest) == (True, True)
    assert not load_plan(dump_plan(PLAN)).unsealed


def test_a_plan_document_may_say_how_long_the_plan_takes() -> None:
    text = dump_plan(PLAN, expected_time(PLAN, moment(PLAN.created_at)))
    told = json.loads(text)["expected_time"]

    assert load_plan(text) == PLAN
    assert json.loads(dump_plan(PLAN)).keys() == json.loads(text).keys() - {"expected_time"}
    assert told["total"] == {"low": 1147.0, "likely": 1863.0, "high": 3900.0}
    assert (told["since"], told["approvals"], told["unknown"]) == (PLAN.created_at, 1, [])
    assert [(one["binds"], one["binds_at"], one["rounds"]) for one in told["stages"]] == [
        ("operation", "rotate certificates", 1)
    ]
