"""Which calls are this program's own tries: those that its evidence accounts for, and no others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment
from aks_entra.core.preflight.audit_callers import Call, Holds, who_breaks
from aks_entra.core.rollout.own_tries import own_tries
from aks_entra.core.rollout.quiet import Heard, listen
from tests.support.audit_logs import caller, covered
from tests.support.rollouts import FIRST, NOW

DAY = 86_400
TIME = NOW - timedelta(hours=3)


def tried(after: float = 0, **how: Any) -> CredentialTried:
    said = {"credential": Credential.STATIC_TOKEN, "moment": Moment.BEFORE, "status": 200, "ca": "AA"}
    return CredentialTried(**{**said, "at": stamp(TIME + timedelta(seconds=after)), **how})


def called(after: float = 0, **how: Any) -> Call:
    said = {"username": "masterclient", "verb": "list", "user_agent": "aks-entra/0.1.0", "groups": ("system:masters",)}
    return Call(**{**said, "at": stamp(TIME + timedelta(seconds=after)), **how})


def claimed(*calls: Call) -> tuple[tuple[Holds, Call], ...]:
    found = who_breaks([*calls, called(username="helm", user_agent="helm/3.14")])
    assert found is not None
    return found.claimed


def parted(calls: list[Call], tries: list[CredentialTried]) -> tuple[int, int]:
    ours, others = own_tries(claimed(*calls), tries)
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
    ],
)
def test_calls_that_our_evidence_recorded_are_our_own_tries(calls: list[Call], tries: list[CredentialTried]) -> None:
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
    ],
)
def test_a_call_that_no_try_accounts_for_is_a_caller(
    calls: list[Call], tries: list[CredentialTried], others: int
) -> None:
    assert parted(calls, tries) == (len(calls) - others, others)


def test_a_gate_lists_our_own_tries_apart_and_hears_all_others() -> None:
    calls = [called(), called(1), called(user_agent="helm/3.14")]
    log = who_breaks(calls)
    assert log is not None
    whole = covered(DAY, *log.callers, claimed=log.claimed)
    alone = listen(FIRST, Heard(log=whole), DAY, NOW)
    assert ([one.count for one in alone.callers], alone.own) == ([1, 2], ())
    both = listen(FIRST, Heard(log=whole, tries=(tried(), tried(1))), DAY, NOW)
    assert [one.user_agent for one in both.callers] == ["helm/3.14"]
    assert [(one.count, one.user_agent) for one in both.own] == [(2, "aks-entra/0.1.0")]
    one_more = listen(FIRST, Heard(log=whole, tries=(tried(),)), DAY, NOW)
    assert [(one.count, one.last_seen) for one in one_more.callers if "aks" in one.user_agent] == [(1, called(1).at)]

    quiet = listen(FIRST, Heard(log=covered(DAY, claimed=claimed(called())), tries=(tried(),)), DAY, NOW)
    assert (quiet.quiet, quiet.since) == (True, "")
    earlier = listen(FIRST, Heard(log=covered(DAY, claimed=claimed(called())), tries=(tried(),)), 3_600, NOW)
    assert earlier.own == ()


def test_who_only_claims_to_be_us_is_not_left_out_without_evidence() -> None:
    log = covered(DAY, caller(user_agent="aks-entra/9"), claimed=claimed(called(user_agent="aks-entra/9")))
    assert not listen(FIRST, Heard(log=log), DAY, NOW).quiet
