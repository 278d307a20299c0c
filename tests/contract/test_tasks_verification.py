"""The tasks of the nightly verification, in this process: when they wait."""

from __future__ import annotations

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.verdict.verdict import Outcome, Verdict
from tasks import verification as tasks
from tests.contract.small_world import SUBSCRIPTION, Opener


async def test_verification_waits_for_the_activity_log_only_if_a_verdict_needs_it(opened: Opener) -> None:
    cluster = ClusterId(subscription_id=SUBSCRIPTION, resource_group="shop-weu", name="guarded")
    old = OldCredentials(debt=Debt.UNKNOWN, because="the log is late", again="2026-01-01T00:00:00Z")
    late = Verdict(cluster=cluster, outcome=Outcome.NOT_VERIFIED, because=("unknown",), old_credentials=old)
    proven = Verdict(cluster=cluster, outcome=Outcome.VERIFIED, because=("as it should be",))
    async with opened():
        assert await tasks.wait_for_log.fn((late, proven))
        assert not await tasks.wait_for_log.fn((proven,))
