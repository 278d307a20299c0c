"""Which calls this program made itself: those that its evidence and plans account for, and no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment, StateSeen
from aks_entra.core.preflight.audit_callers import Call, Holds, who_breaks
from aks_entra.core.rollout.own_calls import OwnCall, own_calls, recorded_in, without_own
from aks_entra.core.rollout.quiet import Heard, listen
from aks_entra.core.verdict.verdict import Outcome, Verdict
from tests.support.audit_logs import caller, covered
from tests.support.rollouts import FIRST, NOW, SECOND, THIRD, fleet_of, plan_of

DAY = 86_400
TIME = NOW - timedelta(hours=3)
SEEN = StateSeen(
    at="", identity="managed", local_accounts=False, admin_group_ids=(), azure_rbac=False, ca="", ca_not_before=""
)


def tried(after: float = 0, **how: Any) -> CredentialTried:
    said = {"credential": Credential.STATIC_TOKEN, "moment": Moment.BEFORE, "status": 200, "ca": "AA"}
    return CredentialTried(**{**said, "at": stamp(TIME + timedelta(seconds=after)), **how})


def called(after: float = 0, **how: Any) -> Call:
    said = {"username": "masterclient", "verb": "list", "user_agent": "aks-entra/0.1.0", "groups": ("system:masters",)}
    return Call(**{**said, "at": stamp(TIME + timedelta(seconds=after)), **how})


def read(after: float = 0, *, lasted: float = 60, requests: int = 3, **how: Any) -> AdminRead:
    begins = TIME + timedelta(seconds=after)
    said = {"at": stamp(begins), "until": stamp(begins + timedelta(seconds=lasted)), "requests": requests}
    return AdminRead(**{**said, **how})


def claimed(*calls: Call) -> tuple[tuple[Holds, Call], ...]:
    found = who_breaks([*calls, called(username="helm", user_agent="helm/3.14")])
    assert found is not None
    return found.claimed


def parted(calls: list[Call], tries: list[OwnCall]) -> tuple[int, int]:
    ours, others = own_calls(claimed(*calls), tries)
    return len(ours), len(others)


@pytest.mark.parametrize(
    ("calls", "tries"),
    [
        ([called()], [tried()]),
        ([called(-120)], [tried()]),
        ([called(120)], [tried()]),
        ([called(), called(1)], [tried(), tried(1, credential=Credential.CERTIFICATE)]),
        ([called(count=2)], [tried(), tried(1, credential=Credential.CERTIFICATE)]),
        ([called(), called(1), called(2), called(3)], [tried(4, connections=4)]),
        ([called(user_agent="AKS-Entra/0.1.0")], [tried()]),
        ([called(username="clusterAdmin", groups=())], [tried()]),
        ([called(-120), called(count=1), called(180)], [read()]),
        ([called(count=3)], [read()]),
        ([called(), called(count=3)], [tried(), read()]),
    ],
)
def test_calls_that_our_evidence_recorded_are_our_own(calls: list[Call], tries: list[OwnCall]) -> None:
    assert parted(calls, tries) == (len(calls), 0)


@pytest.mark.parametrize(
    ("calls", "tries", "others"),
    [
        ([called()], [], 1),
        ([called(-121)], [tried()], 1),
        ([called(121)], [tried()], 1),
        ([called(), called(1)], [tried()], 1),
        ([called(count=2)], [tried()], 1),
        ([called(count=2, first=stamp(TIME - timedelta(hours=1)))], [tried(connections=2)], 1),
        ([called(at="once")], [tried()], 1),
        ([called()], [tried(at="once")], 1),
        ([called(verb="get")], [tried()], 1),
        ([called()], [tried(status=401)], 1),
        ([called()], [tried(status=None)], 1),
        ([called()], [tried(connections=4, mixed="3 x 401, 1 x 200")], 1),
        ([called(username="system:serviceaccount:ci:deployer", groups=())], [tried()], 1),
        ([called(username="jenkins", groups=(), credential="X509SHA256=ab")], [tried()], 1),
        ([called(-121), called(181)], [read()], 2),
        ([called(), called(count=3)], [read()], 1),
        ([called(verb="get")], [read()], 1),
        ([called()], [read(requests=0)], 1),
        ([called()], [read(at="once")], 1),
        ([called()], [read(until="once")], 1),
    ],
)
def test_a_call_that_no_try_accounts_for_is_a_caller(calls: list[Call], tries: list[OwnCall], others: int) -> None:
    assert parted(calls, tries) == (len(calls) - others, others)


def test_a_gate_lists_our_own_tries_apart_and_hears_all_others() -> None:
    calls = [called(), called(1), called(user_agent="helm/3.14")]
    log = who_breaks(calls)
    assert log is not None
    whole = covered(DAY, *log.callers, claimed=log.claimed)
    alone = listen(FIRST, Heard(log=whole), DAY, NOW)
    assert ([one.count for one in alone.callers], alone.own) == ([2, 1], ())
    both = listen(FIRST, Heard(log=whole, recorded=(tried(), tried(1))), DAY, NOW)
    assert [one.user_agent for one in both.callers] == ["helm/3.14"]
    assert [(one.count, one.user_agent) for one in both.own] == [(2, "aks-entra/0.1.0")]
    one_more = listen(FIRST, Heard(log=whole, recorded=(tried(),)), DAY, NOW)
    assert [(one.count, one.last_seen) for one in one_more.callers if "aks" in one.user_agent] == [(1, called(1).at)]

    quiet = listen(FIRST, Heard(log=covered(DAY, claimed=claimed(called())), recorded=(tried(),)), DAY, NOW)
    assert (quiet.quiet, quiet.since) == (True, "")
    earlier = listen(FIRST, Heard(log=covered(DAY, claimed=claimed(called())), recorded=(tried(),)), 3_600, NOW)
    assert earlier.own == ()


def test_verdicts_and_plans_record_our_calls_and_what_two_documents_have_counts_once() -> None:
    verdict = Verdict(cluster=FIRST, outcome=Outcome.VERIFIED, because=("tried",), evidence=(tried(), SEEN))
    other = replace(verdict, cluster=replace(FIRST, name="elsewhere"))
    plan = fleet_of(plan_of(FIRST), plan_of(SECOND), replace(plan_of(THIRD), admin_read=read(1)))
    with_read = replace(plan, clusters=(replace(plan.clusters[0], admin_read=read()), *plan.clusters[1:]))
    found = recorded_in((FIRST, SECOND), (verdict, verdict, other), (with_read, with_read, plan))
    assert found == {FIRST.key: (tried(), read()), SECOND.key: ()}
    assert recorded_in((SECOND,), (), (with_read,)) == {SECOND.key: ()}


def test_a_log_without_our_own_calls_has_administrators_first() -> None:
    helm = caller(holds=Holds.SERVICE_ACCOUNT, username="system:serviceaccount:ci:deployer")
    whole = covered(DAY, helm, claimed=claimed(called(), called(user_agent="aks-entra/9")))
    log = without_own(whole, (tried(),))
    assert [one.user_agent for one in log.own] == ["aks-entra/0.1.0"]
    assert [one.username for one in log.callers] == ["masterclient", "system:serviceaccount:ci:deployer"]


def test_who_only_claims_to_be_us_is_not_left_out_without_evidence() -> None:
    log = covered(DAY, caller(user_agent="aks-entra/9"), claimed=claimed(called(user_agent="aks-entra/9")))
    assert not listen(FIRST, Heard(log=log), DAY, NOW).quiet
