# ruff: noqa: E501 - a table reads best with one line for each case
"""Hooks as data: their words, their templates, which are due after a rotation, and what they add to a verdict."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated, Evidence, StateSeen
from aks_entra.core.hooks.model import (
    EmitEvent,
    Hook,
    RunDeployment,
    UpdateArgoCdSecret,
    UpdateFluxSecret,
    after_rotation,
    fields_in,
    filled,
    filled_all,
    hub_of,
    words_of,
)
from aks_entra.core.hooks.results import AGAIN, due, last_runs, not_yet, rotation_in
from aks_entra.core.planning.plan import FleetPlan, plan_cluster
from aks_entra.core.planning.rollout import MemberGroup, Soak, Stage
from aks_entra.core.rollout.state import counts_against, weigh_stage, without_an_end
from aks_entra.core.verdict.verdict import Outcome, Verdict, is_final, judge, with_hooks, with_hooks_not_run
from tests.support.cases import NEW_CA, NOW, SHOP, WHOLE, facts, managed, state, target
from tests.support.rollouts import fleet_of

HUB = "/subscriptions/s/resourceGroups/hub-weu/providers/Microsoft.ContainerService/managedClusters/hub-01"
ARGO = UpdateArgoCdSecret(cluster="hub-weu/hub-01")
FLUX = UpdateFluxSecret(cluster="hub-weu/hub-01", name="{name}")
RUN = RunDeployment(deployment="tell/prod", parameters=(("cluster", "{cluster}"), ("times", 3)))
TELL = EmitEvent(event="contoso.rotated")
AFTER: tuple[Hook, ...] = (ARGO, RUN, TELL)
PLAN = plan_cluster(managed(), target(), facts())


def ran(place: int, status: HookStatus = HookStatus.DONE, **how: Any) -> HookRan:
    given: dict[str, Any] = {"ca": NEW_CA.fingerprint, "detail": "so it is", **how}
    return HookRan(at=NOW, place=place, hook=words_of(AFTER[place]), status=status, **given)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (ARGO, "update_argocd_secret in hub-weu/hub-01 (namespace argocd)"),
        (replace(ARGO, cluster=HUB, name="{name}"), "update_argocd_secret in hub-weu/hub-01 (secret {name}, namespace argocd)"),
        (FLUX, "update_flux_secret in hub-weu/hub-01 (secret {name}, namespace flux-system)"),
        (replace(FLUX, key="kubeconfig"), "update_flux_secret in hub-weu/hub-01 (secret {name}, namespace flux-system, key kubeconfig)"),
        (RUN, "run_deployment tell/prod (cluster: {cluster}; times: 3; waits up to 30m)"),
        (RunDeployment(deployment="a/b", wait=False), "run_deployment a/b (does not wait)"),
        (TELL, "emit contoso.rotated"),
        (replace(TELL, payload=(("who", "{name}"),)), "emit contoso.rotated (who: {name})"),
    ],
)  # fmt: skip
def test_a_plan_names_a_hook_with_everything_that_it_does(hook: Hook, words: str) -> None:
    assert words_of(hook) == words


def test_a_hub_is_an_arm_id_or_a_cluster_in_the_same_subscription() -> None:
    own = ClusterId(subscription_id=SHOP.subscription_id, resource_group="hub-weu", name="hub-01")
    assert hub_of(ARGO, SHOP) == own
    assert hub_of(FLUX, SHOP) == own
    assert hub_of(replace(ARGO, cluster=HUB), SHOP) == replace(own, subscription_id="s")
    for wrong in ("hub-01", "/hub-01", "a/b/c", "hub-weu/", ""):
        with pytest.raises(ValueError, match=r"names no cluster|is not the id"):
            hub_of(replace(ARGO, cluster=wrong), SHOP)


def test_a_template_gets_the_new_ca_and_nothing_that_is_not_listed() -> None:
    known = after_rotation(SHOP, plan="sha256:1", fqdn="shop.example", fingerprint="ab", pem="PEM")
    assert (
        filled("{name}/{{x}} {server} {plan} {ca_fingerprint}", known) == "shop-01/{x} https://shop.example sha256:1 ab"
    )
    assert base64.b64decode(str(filled("{certificate_authority_data}", known))) == b"PEM"
    assert filled_all((("cluster", "{cluster}"), ("on", True)), known) == {"cluster": SHOP.resource_id, "on": True}
    assert filled("nothing", {}) == "nothing"
    with pytest.raises(ValueError, match=r"\{name.__class__\} is not known"):
        filled("{name.__class__}", known)


@pytest.mark.parametrize("text", ["{name!r}", "{name:>9}", "{name", "name}"])
def test_a_template_with_a_format_or_an_open_brace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"format|brace|expected|Single"):
        fields_in(text)


def test_the_digest_of_a_plan_covers_its_hooks_and_stays_without_them() -> None:
    bare = fleet_of(PLAN)
    digests = [bare.digest] + [
        replace(bare, after=after).digest
        for after in (
            (ARGO,),
            (FLUX,),
            (replace(FLUX, key="value"),),
            (RUN,),
            (ARGO, RUN),
            (RUN, ARGO),
            (replace(RUN, wait=False),),
        )
    ]
    assert len(set(digests)) == len(digests)
    assert replace(bare, after=()).digest == bare.digest
    assert replace(bare, after=AFTER).facts_digest != bare.facts_digest


def test_a_cluster_has_the_hooks_of_all_and_then_those_of_its_stage() -> None:
    other = replace(PLAN, cluster=replace(SHOP, name="shop-02"))
    lists: tuple[tuple[Hook, ...], ...] = ((TELL,), ())
    stages = tuple(
        Stage(name=one.cluster.name, groups=(MemberGroup(name="all", members=(one.cluster,)),), after=after)
        for one, after in zip((PLAN, other), lists, strict=True)
    )
    plan = replace(fleet_of(PLAN, other), stages=stages, after=(ARGO,))
    assert [plan.hooks_of(one.cluster) for one in plan.clusters] == [(ARGO, TELL), (ARGO,)]
    assert plan.hooks_of(replace(SHOP, name="nobody")) == (ARGO,)
    bare = replace(plan, stages=tuple(replace(one, after=()) for one in stages))
    assert plan.digest != bare.digest
    assert "after" not in bare.stages[0].bound()
    soaked = replace(plan, rotation=Soak(after=60)).rotations(plan.clusters, at="2026-11-25T00:00:00Z")
    assert soaked.hooks_of(SHOP) == (ARGO, TELL)


def test_a_rotation_that_follows_later_has_the_hooks_of_the_first_plan() -> None:
    first: FleetPlan = replace(fleet_of(PLAN), after=AFTER)
    assert first.planned_again((), (), at="2026-11-25T00:00:00Z").after == AFTER


@pytest.mark.parametrize(
    ("evidence", "places"),
    [
        ((), []),
        (tuple(one for one in WHOLE if not isinstance(one, CertificatesRotated)), []),  # nothing was rotated
        (WHOLE, [0, 1, 2]),
        ((*WHOLE, ran(0), ran(2)), [1]),
        ((*WHOLE, ran(0), ran(0, HookStatus.FAILED)), [0, 1, 2]),
        ((*WHOLE, ran(0, HookStatus.NOT_RUN), ran(0)), [1, 2]),
        ((*WHOLE, ran(0, ca="of an earlier rotation")), [0, 1, 2]),
    ],
)
def test_a_hook_is_due_until_it_is_done_for_the_ca_of_the_rotation(
    evidence: tuple[Evidence, ...], places: list[int]
) -> None:
    assert [one.place for one in due(AFTER, evidence)] == places


def test_no_hook_runs_before_the_new_ca_was_seen_or_without_an_approval() -> None:
    rotated = rotation_in(WHOLE)
    assert rotated is not None
    assert not_yet(rotated, WHOLE, may_write=True) == ""
    assert "may only look" in not_yet(rotated, WHOLE, may_write=False)
    unseen = tuple(one for one in WHOLE if not isinstance(one, StateSeen))
    assert "not seen to serve" in not_yet(rotated, unseen, may_write=True)
    assert "not seen to serve" in not_yet(rotated, (*WHOLE, state(ca="another")), may_write=True)


def test_a_failed_hook_changes_no_proof_and_never_looks_like_everything_is_done() -> None:
    failed = ran(1, HookStatus.FAILED, remedy="look at the run")
    verdict = judge(PLAN, (*WHOLE, ran(0), failed))
    bare = judge(PLAN, WHOLE)
    assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, bare.grade)
    assert verdict.because[0] == f"after the rotation, {words_of(RUN)}: failed: so it is"
    assert verdict.because[-1] == f"after the rotation, {words_of(ARGO)}: done: so it is"
    assert verdict.because[1:-1] == bare.because
    assert verdict.next == "look at the run"
    assert verdict.hooks_left
    assert not is_final(verdict)
    assert counts_against(PLAN, verdict)
    assert [one.place for one in last_runs(verdict.evidence)] == [0, 1]
    stage = Stage(name="all", groups=(MemberGroup(name="all", members=(SHOP,)),))
    result = weigh_stage(fleet_of(PLAN), stage, {SHOP.key: verdict}, frozenset())
    assert (result.go_on, result.because) == (
        False,
        "stage all: 1 with a hook that is not done, 0 allowed: the stages after it are not started",
    )


def test_a_hook_that_is_done_in_the_end_needs_nobody() -> None:
    verdict = judge(PLAN, (*WHOLE, ran(0, HookStatus.FAILED, remedy="again"), ran(0, detail="")))
    assert not verdict.hooks_left
    assert is_final(verdict)
    assert not counts_against(PLAN, verdict)
    assert verdict.because[-1] == f"after the rotation, {words_of(ARGO)}: done"
    assert verdict.next == ""


def test_what_was_said_about_hooks_is_said_once_and_not_any_more_when_they_are_done() -> None:
    failed = judge(PLAN, (*WHOLE, ran(0, HookStatus.FAILED, remedy="add it")))
    assert with_hooks(failed) == failed
    done = with_hooks(replace(failed, evidence=(*failed.evidence, ran(0))))
    assert done.because == judge(PLAN, (*WHOLE, ran(0))).because
    assert (failed.next, done.next) == ("add it", "")


def lost(*evidence: Evidence) -> Verdict:
    """The verdict of a cluster whose batch ended without one."""
    return without_an_end(PLAN, None, evidence, (), "")


def test_a_hook_that_did_not_run_because_its_batch_ended_is_named_and_never_green() -> None:
    verdict = with_hooks_not_run(lost(*WHOLE), AFTER, (ran(0),), "its batch ended before it", at=NOW)
    assert verdict.outcome is Outcome.FAILED
    assert [(one.place, one.status) for one in last_runs(verdict.evidence)] == [
        (0, HookStatus.DONE),
        (1, HookStatus.NOT_RUN),
        (2, HookStatus.NOT_RUN),
    ]
    assert f"after the rotation, {words_of(RUN)}: not run: its batch ended before it" in verdict.because
    assert counts_against(PLAN, verdict)
    green = with_hooks_not_run(judge(PLAN, WHOLE), AFTER, (), "its batch ended before it", at=NOW)
    assert green.outcome is Outcome.VERIFIED  # the proofs stand
    assert green.hooks_left
    assert green.because[0].endswith("not run: its batch ended before it")
    assert green.next == AGAIN


def test_a_result_that_is_known_is_not_replaced_by_an_earlier_one() -> None:
    first, second = ran(0, HookStatus.FAILED), replace(ran(0), at="2026-11-30T00:00:00.000Z")
    verdict = with_hooks_not_run(lost(*WHOLE, second), AFTER, (first, second), "its batch ended", at=NOW)
    assert [one.place for one in verdict.evidence if isinstance(one, HookRan)] == [0, 0, 1, 2]
    assert last_runs(verdict.evidence)[0] == second


@pytest.mark.parametrize(
    "verdict",
    [
        judge(PLAN, tuple(one for one in WHOLE if not isinstance(one, CertificatesRotated))),
        judge(PLAN, (*WHOLE, ran(0), ran(1, HookStatus.FAILED), ran(2))),
    ],
)
def test_a_verdict_that_says_everything_about_its_hooks_stays(verdict: Verdict) -> None:
    assert with_hooks_not_run(verdict, AFTER, (ran(0),), "its batch ended before it", at=NOW) is verdict


def test_the_reason_of_a_cluster_that_is_not_proven_comes_before_its_hooks() -> None:
    evidence = (*(one for one in WHOLE if not isinstance(one, StateSeen)), ran(0, HookStatus.NOT_RUN, remedy="again"))
    verdict = judge(PLAN, evidence)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert verdict.because[0] == "the final state was not read"
    assert verdict.because[-1].startswith("after the rotation, update_argocd_secret")
    assert verdict.next != "again"
    assert with_hooks(replace(verdict, because=(), next="")).next == "again"
