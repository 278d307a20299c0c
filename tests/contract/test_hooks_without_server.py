"""Hooks while Prefect's server does not answer: the cluster keeps its proofs, and no hook looks done."""

from __future__ import annotations

from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import EmitEvent, UpdateArgoCdSecret
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.planning.prover import Prover
from aks_entra.core.verdict.verdict import Outcome, judge
from aks_entra.prefect_client.batch_progress import BatchTracker
from flows.rollout.hooks import run_hooks
from tests.contract.small_world import Opener
from tests.support.cases import SHOP, WHOLE, facts, managed, target
from tests.support.rollouts import fleet_of

PLAN = plan_cluster(managed(), target(), facts())
JOB = Job(digest="sha256:" + "0" * 64, plan=PLAN, prover=Prover(object_id="p"))
AFTER = (UpdateArgoCdSecret(cluster="hub-weu/hub-01"), EmitEvent(event="contoso.rotated"))


async def test_hooks_that_nobody_could_record_are_not_done_and_the_proofs_stand(opened: Opener) -> None:
    tracker = BatchTracker(fleet_of(PLAN), (SHOP,))
    verdict = judge(PLAN, WHOLE)
    unrotated = judge(PLAN, tuple(one for one in WHOLE if not isinstance(one, CertificatesRotated)))
    async with opened():
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
            found = await run_hooks(JOB, AFTER, verdict, tracker)
            assert await run_hooks(JOB, (), verdict, tracker) is verdict
            assert await run_hooks(JOB, AFTER, unrotated, tracker) is unrotated
    assert (found.outcome, found.grade) == (Outcome.VERIFIED, verdict.grade)
    assert found.hooks_left
    assert ["failed" in one for one in found.because[:2]] == [True, True]
    assert found.next.startswith("aks-entra migrate --resume")
