"""What evidence proves after a rollback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aks_entra.core.evidence.observations import LOOKING, Credential, CredentialTried, Evidence, Failure, Moment
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.planning.rollback import WayBack, plan_rollback
from aks_entra.core.steps import VerifyRestored
from aks_entra.core.verdict.rollback import weigh_restored
from aks_entra.core.verdict.verdict import Outcome, judge, restored
from tests.support.cases import ADMINS, ALL_TRIED, NEW_CA, NOW, OTHERS, facts, managed, proven, state, target
from tests.support.golden_files import approved, brief
from tests.support.golden_lines import verdict_lines
from tests.support.migrated_clusters import UNKNOWN, migrated
from tests.support.verdict_cases import MIGRATE


def test_golden_what_was_restored() -> None:
    world = WayBack(groups={}, old_credentials=OldCredentials(debt=Debt.OWED, because="so", through=NOW))
    back = plan_rollback(MIGRATE, managed(local_accounts=False, ca=NEW_CA), world)
    shut = replace(
        back, before=replace(back.before, local_accounts=False), steps=(VerifyRestored(local_accounts=False),)
    )
    looked = Failure(at=NOW, error="TryLater", step=LOOKING, message="nobody answers", remedy="later")
    evidence: dict[str, tuple[Evidence, ...]] = {
        "nothing": (),
        "as planned": (*ALL_TRIED[:1], proven(), state(local_accounts=True)),
        "closed, and a member in": (*ALL_TRIED, proven(), state()),
        "another CA": (proven(ca="x"), state()),
        "not everything": (proven(everything=False), state()),
        "by nobody": (proven(by=""), state()),
        "all otherwise": (state(identity="none", azure_rbac=True, admin_group_ids=(OTHERS, ADMINS)),),
        "no group": (state(admin_group_ids=(), local_accounts=True, provisioning_state="Canceled"),),
        "failed": (state(local_accounts=True, provisioning_state="Failed"),),
        "twice not seen": (looked, replace(looked, message="again", remedy="never"), state(local_accounts=True)),
        "no remedy, then one": (replace(looked, remedy=""), looked, state(local_accounts=True)),
    }
    rbac = replace(back, before=replace(back.before, azure_rbac=True))
    approved(
        "restored",
        [
            (f"{title} · {which}", [brief(weigh_restored(plan, seen)), *verdict_lines(judge(plan, seen))])
            for title, seen in evidence.items()
            for which, plan in (("opened", back), ("stays closed", shut), ("by role", rbac))
        ],
    )


def test_what_is_weighed_after_a_rollback() -> None:
    done = plan_cluster(managed(), target(), facts())
    now = migrated(managed(), done)
    back = plan_rollback(done, now, WayBack(groups={}, old_credentials=UNKNOWN))
    assert "the final state was not read" in judge(back, ()).because

    def judged(**how: Any) -> tuple[str, ...]:
        return judge(back, (state(**{"local_accounts": True, **how}),)).because

    assert "local accounts are off" in judged(local_accounts=False)
    assert "Microsoft Entra ID is none" in judged(identity="none")
    assert "Azure RBAC for Kubernetes is on" in judged(azure_rbac=True)
    assert f"admin groups are {OTHERS}" in judged(admin_group_ids=(OTHERS,))
    assert "admin groups are none" in judged(admin_group_ids=())
    assert "the cluster's last operation ended Failed" in judged(provisioning_state="Failed")
    closed_before = replace(
        back, before=replace(back.before, local_accounts=False), steps=(VerifyRestored(local_accounts=False),)
    )
    seen = (state(), proven())
    assert judge(closed_before, seen).outcome is Outcome.NOT_VERIFIED
    assert (
        judge(replace(closed_before, debt=Debt.NONE, debt_because="rotated", debt_through=NOW), seen).outcome
        is Outcome.VERIFIED
    )
    assert "no member signed in" in judge(closed_before, (state(), proven(by=""))).because
    assert "no member signed in" in judge(closed_before, (state(),)).because
    assert "no member signed in" in judge(closed_before, (state(), proven(everything=False))).because
    assert "no member signed in" in judge(closed_before, (state(), proven(ca="other"))).because


def test_what_could_not_be_looked_at_is_missing_and_no_failure() -> None:
    done = plan_cluster(managed(), target(), facts())
    back = plan_rollback(done, migrated(managed(), done), WayBack(groups={}, old_credentials=UNKNOWN))
    unseen = Failure(at="", error="TryLater", step=LOOKING, message="throttled", remedy="look again")
    tried = CredentialTried(at="", credential=Credential.CERTIFICATE, moment=Moment.BEFORE, status=200, ca="")
    seen = (state(local_accounts=True), tried)
    verdict = judge(back, (*seen, unseen))
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "throttled" in verdict.because
    assert not restored(back, verdict)
    assert restored(back, judge(back, seen))
    assert not restored(done, judge(back, seen))
    assert "ended Canceled" in " ".join(judge(done, (state(provisioning_state="Canceled"),)).because)
