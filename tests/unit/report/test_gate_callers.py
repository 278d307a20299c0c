"""Callers that keep a gate shut, for people and for programs."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.rollout.owners import Owner
from aks_entra.core.rollout.quiet import CallersAtGate, Listened
from aks_entra.documents import dump_callers, load_callers
from aks_entra.report.gate_callers import MOST, document_of, lines_of, page_of
from tests.support.audit_logs import caller
from tests.support.rollouts import FIRST, SECOND

SHOP = Owner(name="shop", by="tag team")
CI = Owner(name="payments", by="label team of namespace ci", namespace="ci")
OURS = caller(user_agent="aks-entra/0.1.0", count=2)
FOUND = CallersAtGate(
    stage="canary",
    quiet=7 * 86_400,
    at="2026-11-24T12:00:00Z",
    shut=(
        Listened(cluster=FIRST, callers=(caller(), caller(namespace="ci")), owners=(SHOP, CI), own=(OURS,)),
        Listened(cluster=SECOND, unknown="no diagnostic setting"),
    ),
)


def test_each_caller_is_listed_with_its_owner_its_last_call_and_what_moves_it() -> None:
    lines = list(lines_of(FOUND))
    assert [what for what, _ in lines] == [
        "shop-weu/shop-01 (owner: shop, by tag team)",
        f"{caller().words} (the admin kubeconfig's certificate)",
        f"{caller().words} (the admin kubeconfig's certificate; owner: payments, by label team of namespace ci)",
        f"{OURS.words} (the admin kubeconfig's certificate)",
        "shop-weu/shop-02 (owner unknown)",
    ]
    assert lines[3][1] == "aks-entra's own calls, which its evidence recorded: they do not count"
    assert lines[1][1].startswith("helm: helm uses the kubeconfig of kubectl: `az aks get-credentials")
    assert lines[4][1] == "unknown: no diagnostic setting"


def test_the_page_says_what_the_gate_waits_for_and_shows_strangers_words_as_text() -> None:
    hostile = caller(user_agent="x\n# <script> [a](b)")
    page = page_of(replace(FOUND, shut=(Listened(cluster=FIRST, callers=(hostile,)),)))
    assert "waits until the audit logs show no caller with an old credential for 7d" in page
    assert "An approval does not open it." in page
    assert "<script>" not in page.replace("\\<script\\>", "")
    assert "\n# " not in page
    assert page_of(replace(FOUND, shut=())) == (
        "The audit logs of stage **canary** were quiet for 7d at 2026-11-24T12:00:00Z."
    )


def test_a_long_list_is_cut_and_says_where_the_rest_is() -> None:
    many = replace(FOUND, shut=(Listened(cluster=SECOND, unknown="no log"),) * (MOST + 2))
    assert list(lines_of(many))[-1] == ("2 more clusters", "see them with `aks-entra gates -o json`")
    assert len(document_of(many)["clusters"]) == MOST + 2


def test_programs_get_the_same_and_it_is_stored_as_it_is() -> None:
    first, second = document_of(FOUND)["clusters"]
    assert (first["id"], first["owner"], first["owner_by"]) == (FIRST.resource_id, "shop", "tag team")
    assert (second["unknown"], second["owner"], second["owner_by"]) == ("no diagnostic setting", "", "")
    one, other = first["callers"]
    assert (one["namespace"], one["owner"]) == ("", "shop")
    assert [(mine["requests"], mine["user_agent"]) for mine in first["own"]] == [(2, "aks-entra/0.1.0")]
    assert (other["namespace"], other["owner"], other["owner_by"]) == ("ci", "payments", CI.by)
    assert (one["username"], one["requests"], one["last_call"]) == ("masterclient", 41, "2026-11-24T12:00:00Z")
    assert one["page"] == "docs/how-to/move-callers.md#helm"
    assert load_callers(dump_callers(FOUND)) == FOUND
