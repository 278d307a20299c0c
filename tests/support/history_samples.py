"""The course of a rollout in three stages: a signed and a typed approval, a crash, and a gate that waits."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.signed_approval import SignedApproval, Statement, commitment
from aks_entra.core.verdict.history import (
    Asking,
    BatchHistory,
    CoordinatorHistory,
    Decision,
    GateHistory,
    RolloutHistory,
    StageHistory,
)
from aks_entra.core.verdict.report import FleetReport
from aks_entra.documents import dump_signed_approval, signature_proofs
from tests.support.report_samples import TENANT
from tests.support.timeline_samples import BEGAN, at, timed

FIRST, SECOND = "1c0ffee1-0000-4000-8000-000000000001", "2c0ffee2-0000-4000-8000-000000000002"
PLAN, FACTS = "sha256:" + "9f31" * 16, "sha256:" + "facade" * 10
CLIENT = "8d1f7c3e-5b2a-4c96-a0d4-1e9b6f3c7a25"
DANA = "5f0e3b1c-2222-4444-8888-0123456789ab"


def decision(stage: str, when: str, approver: str = "dana@contoso.com", **given: str) -> Approval:
    """Return an approval that somebody typed."""
    whole = Approval(
        plan=PLAN,
        stage=stage,
        moment="before",
        decision="approve",
        approver=approver,
        reason="CHG-1042",
        ticket="CHG-1042",
        at=when,
        run=FIRST,
        question="gate-0-before-9f319f319f31-1",
        facts=FACTS,
    )
    return replace(whole, **given)  # type: ignore[arg-type]  # texts of a few fields


def token(**claims: object) -> str:
    """Return an ID token with these claims. Its signature is none."""
    parts = ({"alg": "RS256", "kid": "entra-key-7"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts)
    return ".".join((*encoded, "signature"))


def signed(stage: str, when: str, *, nonce: str = "", name: str = "dana@contoso.com", until: str = "") -> Approval:
    """Return an approval that a person signed. `nonce`: of the ID token; empty: the one that is right.

    `until`: to which the sign-in commits; empty: an earlier version made it.
    """
    statement = Statement(
        decision="approve",
        plan=PLAN,
        facts=FACTS,
        stage=stage,
        side="before",
        run=FIRST,
        reason="CHG-1042",
        ticket="CHG-1042",
        at=when,
    )
    made = commitment(statement, '{"kty":"EC"}', application="", until=None)
    committed = replace(made, until=until)
    issued = datetime.fromisoformat(when).astimezone(UTC) + timedelta(seconds=20)
    claims = {
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "aud": CLIENT,
        "tid": TENANT,
        "oid": DANA,
        "preferred_username": name,
        "nonce": nonce or committed.nonce,
        "iat": int(issued.timestamp()),
    }
    document = SignedApproval(
        statement=statement,
        commitment=committed,
        id_token=token(**claims),
        signature="own.signature.x",
        entra_key='{"kid":"entra-key-7"}',
    )
    who = f"{name} (object id {DANA})"
    return replace(decision(stage, when, who), signed=(dump_signed_approval(document),))


def decided(approval: Approval) -> Decision:
    """Return what a report keeps of a decision."""
    return Decision.of(approval, signature_proofs(approval))


def gate(minute: float, answer: Decision | None, *, passed: str = "") -> GateHistory:
    """Return a gate that was reached, and asked about, at a minute of the rollout."""
    asking = Asking(asked_at=at(minute), answered_at=answer.at if answer else "", decision=answer)
    return GateHistory(
        side="before",
        conditions=("approval (valid 1d)",),
        reached_at=at(minute),
        passed_at=passed,
        askings=(asking,),
    )


def rolled_out(clusters: int) -> FleetReport:
    """Return the report of a rollout of at least five clusters, with its history."""
    report = timed(clusters)
    members = tuple(verdict.cluster for verdict in report.verdicts)
    minutes = (datetime.fromisoformat(report.ended_at).astimezone(UTC) - BEGAN) / timedelta(minutes=1)
    history = RolloutHistory(
        runs=(
            CoordinatorHistory(run=FIRST, began_at=at(-90), ended_at=at(12), state="CRASHED"),
            CoordinatorHistory(run=SECOND, began_at=at(15), state="RUNNING"),
        ),
        stages=(
            StageHistory(
                name="canary",
                clusters=members[:2],
                before=gate(-88, decided(signed("canary", at(-1))), passed=at(0)),
                batches=(
                    BatchHistory(number=1, began_at=at(0), ended_at=at(12), state="CRASHED"),
                    BatchHistory(number=1, began_at=at(15), ended_at=at(18), state="COMPLETED"),
                ),
            ),
            StageHistory(
                name="prod",
                clusters=members[2:-1],
                before=gate(18, decided(decision("prod", at(19))), passed=at(20)),
                after=GateHistory(
                    side="after", conditions=("wait 5m",), reached_at=at(minutes - 5), passed_at=at(minutes)
                ),
                batches=(BatchHistory(number=1, began_at=at(20), ended_at=at(minutes - 5), state="COMPLETED"),),
            ),
            StageHistory(name="rest", clusters=members[-1:], before=gate(minutes, None)),
        ),
    )
    return replace(report, history=history)
